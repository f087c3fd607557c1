"""Wrappers of `CallTool`, each around another one; `app.py` stacks them."""
