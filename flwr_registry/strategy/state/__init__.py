"""What a strategy carries from round to round, as plain data and arrays."""
