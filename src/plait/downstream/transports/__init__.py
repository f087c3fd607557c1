"""The ways to a server: its process or its URL, with limits and strict checks on messages."""
