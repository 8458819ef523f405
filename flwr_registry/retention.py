"""What is kept: policies as values, for the bytes of versions and for checkpoints."""
