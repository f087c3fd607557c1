"""The history of runs, in terms of the rows and values of `core/history.py`.

A row that is put gets its number in `log.py`. `memory.py` keeps a history in memory alone.
"""
