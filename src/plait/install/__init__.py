"""`plait install`: the clients of this machine, the change that registers Plait in them, and the
way back.

`machine.py` says where programs keep their settings, `clients.py` is the table of clients, and
`entries.py` reads what their files hold. `planning.py` makes a plan (`plan.py`) of that: each
server as we would write it (`carrying.py`, `literals.py`), the rules about its tools (`rules.py`),
our own files (`our_files.py`) and those of the clients. `splice.py` changes a file without touching
what is not ours: `changes.py` says what is to change, and a module for each format finds it in the
text.

`applying.py` carries a plan out and takes it back, over `backups.py` and `replacing.py`;
`running.py` and `launcher.py` look at what runs and at which command of ours lasts.
"""
