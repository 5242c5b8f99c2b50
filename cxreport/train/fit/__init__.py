"""Training loops, their schedules and checkpoints."""
