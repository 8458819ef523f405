"""What came from what, and who had a part in it."""
