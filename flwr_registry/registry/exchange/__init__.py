"""Versions in from files, and out to other tools."""
