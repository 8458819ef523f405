"""The tables, and the records that leave this folder in their place."""
