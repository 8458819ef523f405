"""Fits a line with numpy over Flower's legacy API."""
