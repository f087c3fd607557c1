"""Servers that we are a client of: the pool, and one connection for each."""
