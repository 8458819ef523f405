"""What is recorded at each hook of a strategy, in both of Flower's APIs."""
