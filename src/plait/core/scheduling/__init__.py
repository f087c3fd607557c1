"""What to call next: runs, limits, conflicts, retries."""
