"""Results of runs and forecasts, and where the time went."""
