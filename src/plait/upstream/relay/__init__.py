"""Passing on what is for downstream servers, and what they say and ask, in all combinations of
protocol eras."""
