"""The MCP server that upstream clients talk to."""
