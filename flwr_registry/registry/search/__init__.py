"""Finding versions by what is known of them."""
