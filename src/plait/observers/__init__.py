"""Told everything, change nothing."""
