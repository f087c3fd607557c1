"""Stores: runs, statistics of tools, lists of servers, small private files.

A file is private: it has mode 0600, a folder that is made for it 0700, and no link is followed to
read it. `files.py` does that for files that are written whole.
"""
