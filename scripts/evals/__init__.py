"""The cost of a job for a model, and whether it is done right: `scripts/eval`."""
