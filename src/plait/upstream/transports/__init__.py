"""The ways to a client: the pipe, and one HTTP endpoint; the same requests come out of each,
bounded and strict."""
