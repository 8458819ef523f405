"""Which version is in production, and how it came to be."""
