"""The verbs of a registry, each once to call and once to await."""
