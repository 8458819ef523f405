"""Small Flower apps, and the real Flower processes that run them."""
