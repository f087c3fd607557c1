"""The protocol era of a server: the probe, the handshake, the memory of the result, and the form of
requests."""
