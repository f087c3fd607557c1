"""Ways to call a tool: connections to downstream servers, and the pool of them."""
