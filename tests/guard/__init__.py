"""What a message costs, in instructions: a guard that no clock and no busy machine can upset."""
