"""What the audit log says that the rows are, and rows that contradict it."""
