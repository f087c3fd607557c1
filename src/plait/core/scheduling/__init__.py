"""The choice of the next call: runs, limits, conflicts, retries."""
