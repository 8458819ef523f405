"""Whose a storage is: one root, one registry."""
