"""Wrappers of `CallTool`, each around another one; `app/parts.py` stacks them."""
