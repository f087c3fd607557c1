"""Stores: runs, statistics of tools, lists of servers, small private files."""
