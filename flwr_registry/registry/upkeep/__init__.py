"""Keeping bytes and rows whole, and giving up what is not needed."""
