"""A registered model behind several replicas, and over a large set."""
