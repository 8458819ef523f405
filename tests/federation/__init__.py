"""A deterministic federation in one process, for both of Flower's APIs."""
