"""Relaying between upstream clients and downstream servers, in every combination of eras."""
