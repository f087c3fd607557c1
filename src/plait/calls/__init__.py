"""Wrappers around the calling of tools, each a `CallTool` around a `CallTool`; `app.py` stacks
them."""
