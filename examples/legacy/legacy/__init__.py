"""The quickstart's federation, written for Flower's legacy API."""
