"""Which protocol era a server speaks: the probe, the handshake, and what is remembered of the
answer."""
