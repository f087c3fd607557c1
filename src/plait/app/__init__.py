"""The parts put together: what a process shares, a gateway from settings, two ways to serve it."""
