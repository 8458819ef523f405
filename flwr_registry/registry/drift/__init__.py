"""What is known of drift."""
