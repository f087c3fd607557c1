"""`plait install`: the clients of this machine, the change that registers Plait in them, and the
way back.

`machine.py` says where programs keep their settings, `clients.py` is the table of clients, and
`entries.py` reads what their files hold.
"""
