"""Numbers, registration and the rounds that make versions."""
