"""A run that gets worse is noticed, and what follows from that."""
