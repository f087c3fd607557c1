"""The history of runs, in terms of the rows and values of `core/history.py`: in one SQLite file
that all gateways of a user share (`store.py`), or in memory alone (`memory.py`). `opening.py`
chooses.

A row that is put gets its number in `log.py`, which both stores share. For the file, `writer.py`
has the thread that commits, `writing.py` and `reading.py` turn rows into tables and back,
`retention.py` deletes, and `database.py` opens the file: it alone imports `apsw`. Processes know
who of them is alive by `leases.py`.
"""
