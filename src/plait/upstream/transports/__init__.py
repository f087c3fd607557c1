"""The transports of clients: the pipe, and one HTTP endpoint, both bounded and strict."""
