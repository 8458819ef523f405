"""Four real hospitals learn one risk model, every round registered."""
