"""The MCP server and HTTP app that we are."""
