"""The protocol era of a server: the probe, the handshake, and the memory of the result."""
