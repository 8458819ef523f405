"""How a run begins: anew, from a version, or after a checkpoint."""
