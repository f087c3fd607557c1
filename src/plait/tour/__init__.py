"""The tour of `plait try`: made-up services of a small company, each an MCP server in a process of
its own, and the jobs that are done with them.

Nothing of it needs a file, a key or the network. The services are of the standard library alone, so
four of them start in the time of an interpreter.
"""
