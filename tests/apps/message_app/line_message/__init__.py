"""Fits a line with numpy over Flower's message API."""
