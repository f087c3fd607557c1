"""What outlives a call or a process: statistics of tools."""
