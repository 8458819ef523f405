"""Handwritten digits, learned by a federation whose every round is registered."""
