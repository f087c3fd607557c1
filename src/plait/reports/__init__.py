"""Reports of a run for other programs and for people, as the bytes of a file.

Each maker reads a result and nothing else: `junit.py` for build servers, `markdown.py` for
pages and the summary of a job, `page.py` for a browser. `words.py` makes the texts of a run fit for
all of them. `cli/reporting.py` writes the files.
"""
