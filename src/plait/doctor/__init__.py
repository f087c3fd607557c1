"""`plait doctor`: everything that is or may be wrong, each with its fix.

`findings.py` says what is found, `examination.py` makes all checks at once, each within a time. A
module for each part of the machine has its checks: `settings.py`, `commands.py`, `servers.py`,
`clients.py`, `gateway.py` and `state.py`. `mending.py` makes the changes that are safe to make.
"""
