"""The ways to a server: its process or its URL, and the messages on them, bounded and strict."""
