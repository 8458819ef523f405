"""What a run writes beside training: jobs in order, each with an end."""
