"""What is asked of each server: calls that show every kind of result, and the folder that they work
in.

The calls of a server are made one after the other, and may build on each other. `restore` puts the
folder back to its start, so that they can be made again with equal results."""

from __future__ import annotations

import base64
import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

Call: TypeAlias = tuple[str, dict[str, Any]]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
LONG_AGO = 1_700_000_000
ADA = {"name": "Ada", "entityType": "person", "observations": ["wrote notes", "Ünïcode ✓", ""]}
BABBAGE = {"name": "Babbage", "entityType": "person", "observations": []}
KNOWS = {"from": "Ada", "to": "Babbage", "relationType": "knows"}

EVERYTHING: list[Call] = [
    ("echo", {"message": "héllo \n \u2028 🎈"}),
    ("get-annotated-message", {"messageType": "error", "includeImage": True}),
    ("get-annotated-message", {"messageType": "debug"}),
    ("get-env", {}),
    ("get-resource-links", {"count": 3}),
    ("get-resource-reference", {"resourceType": "Text", "resourceId": 2}),
    ("get-resource-reference", {"resourceType": "Blob", "resourceId": 3}),
    ("get-resource-reference", {"resourceType": "Text", "resourceId": -1}),
    ("get-structured-content", {"location": "Chicago"}),
    ("get-sum", {"a": 0.1, "b": 9007199254740993}),
    ("get-sum", {"a": -1, "b": 1e21}),
    ("get-tiny-image", {}),
    (
        "gzip-file-as-resource",
        {"name": "a.gz", "data": "data:text/plain,hello", "outputType": "resource"},
    ),
    (
        "gzip-file-as-resource",
        {"name": "b.gz", "data": "data:text/plain,hello", "outputType": "resourceLink"},
    ),
    ("gzip-file-as-resource", {"name": "c.gz", "data": "ftp://example.com/"}),
    ("toggle-simulated-logging", {}),
    ("toggle-simulated-logging", {}),
    ("toggle-subscriber-updates", {}),
    ("toggle-subscriber-updates", {}),
    ("trigger-long-running-operation", {"duration": 0.01, "steps": 2}),
    ("simulate-research-query", {"topic": "python"}),
]

FILES: list[Call] = [
    ("list_allowed_directories", {}),
    ("list_directory", {"path": "."}),
    ("list_directory_with_sizes", {"path": "kept", "sortBy": "size"}),
    ("directory_tree", {"path": "kept"}),
    ("directory_tree", {"path": "kept", "excludePatterns": ["*.png"]}),
    ("get_file_info", {"path": "kept/dot.png"}),
    ("read_file", {"path": "kept/notes.txt"}),
    ("read_text_file", {"path": "kept/notes.txt", "head": 1}),
    ("read_text_file", {"path": "kept/notes.txt", "head": 1, "tail": 1}),
    ("read_text_file", {"path": "/etc/hostname"}),
    ("read_media_file", {"path": "kept/dot.png"}),
    ("read_multiple_files", {"paths": ["kept/notes.txt", "kept/none.txt"]}),
    ("create_directory", {"path": "work/deep/er"}),
    ("write_file", {"path": "work/a.txt", "content": "one\r\ntwo\n\ufeffthree \u2028 ✓\n"}),
    (
        "edit_file",
        {"path": "work/a.txt", "edits": [{"oldText": "two", "newText": "2"}], "dryRun": True},
    ),
    ("edit_file", {"path": "work/a.txt", "edits": [{"oldText": "two", "newText": "2"}]}),
    ("edit_file", {"path": "work/a.txt", "edits": [{"oldText": "not there", "newText": ""}]}),
    ("move_file", {"source": "work/a.txt", "destination": "work/b.txt"}),
    ("search_files", {"path": ".", "pattern": "**/*.txt"}),
    ("read_text_file", {"path": "work/b.txt"}),
]

MEMORY: list[Call] = [
    ("read_graph", {}),
    ("create_entities", {"entities": [ADA, BABBAGE]}),
    ("create_entities", {"entities": [ADA]}),
    ("create_relations", {"relations": [KNOWS]}),
    (
        "add_observations",
        {"observations": [{"entityName": "Babbage", "contents": ["built engines"]}]},
    ),
    ("add_observations", {"observations": [{"entityName": "nobody", "contents": ["x"]}]}),
    ("search_nodes", {"query": "engines"}),
    ("open_nodes", {"names": ["Ada", "nobody"]}),
    (
        "delete_observations",
        {"deletions": [{"entityName": "Ada", "observations": ["wrote notes"]}]},
    ),
    ("delete_relations", {"relations": [KNOWS]}),
    ("delete_entities", {"entityNames": ["Babbage"]}),
    ("read_graph", {}),
]

GIT: list[Call] = [
    ("git_status", {"repo_path": "."}),
    ("git_log", {"repo_path": ".", "max_count": 5}),
    ("git_show", {"repo_path": ".", "revision": "HEAD"}),
    ("git_diff_unstaged", {"repo_path": "."}),
    ("git_add", {"repo_path": ".", "files": ["new.txt"]}),
    ("git_diff_staged", {"repo_path": ".", "context_lines": 1}),
    ("git_reset", {"repo_path": "."}),
    ("git_add", {"repo_path": ".", "files": ["new.txt", "notes.txt"]}),
    ("git_commit", {"repo_path": ".", "message": "Add “new”"}),
    ("git_create_branch", {"repo_path": ".", "branch_name": "side"}),
    ("git_checkout", {"repo_path": ".", "branch_name": "side"}),
    ("git_branch", {"repo_path": ".", "branch_type": "local"}),
    ("git_diff", {"repo_path": ".", "target": "HEAD~1"}),
    ("git_show", {"repo_path": ".", "revision": "no-such-thing"}),
    ("git_status", {"repo_path": "/"}),
]

TIME: list[Call] = [
    ("get_current_time", {"timezone": "Asia/Kathmandu"}),
    (
        "convert_time",
        {"source_timezone": "Europe/Berlin", "time": "16:30", "target_timezone": "Asia/Tokyo"},
    ),
    (
        "convert_time",
        {"source_timezone": "Europe/Berlin", "time": "25:99", "target_timezone": "Asia/Tokyo"},
    ),
    ("get_current_time", {"timezone": "Mars/Olympus"}),
]


def fetch(url: str) -> list[Call]:
    return [
        ("fetch", {"url": f"{url}/page.html"}),
        ("fetch", {"url": f"{url}/page.html", "raw": True}),
        ("fetch", {"url": f"{url}/page.html", "max_length": 20, "start_index": 5}),
        ("fetch", {"url": f"{url}/private/page.html"}),
        ("fetch", {"url": f"{url}/none.html"}),
    ]


def samples(server: str, url: str) -> list[Call]:
    """The calls for *server*; *url* is that of `pages`."""
    table = {"files": FILES, "memory": MEMORY, "git": GIT, "time": TIME, "fetch": fetch(url)}
    return table.get(server, EVERYTHING)


# What changes from one call to the next by itself.
_PASSING = [
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "<session>"),
    (re.compile(r"T\d\d:\d\d:\d\d(?=\+05:45)"), "T<now>"),
]


def steady(text: str) -> str:
    """*text* without names of sessions and the time in Kathmandu, where alone the time now is asked
    for."""
    for pattern, stand_in in _PASSING:
        text = pattern.sub(stand_in, text)
    return text


def populate(folder: Path) -> None:
    """The folder as `samples` expects it at the start."""
    kept = folder / "kept"
    kept.mkdir()
    (kept / "notes.txt").write_text("first\nsecond ✓\nthird")
    (kept / "dot.png").write_bytes(PNG)
    for file in kept.iterdir():
        os.utime(file, (LONG_AGO * 1.1, LONG_AGO))
    (folder / "work").mkdir()
    (folder / "repository").mkdir()
    restore(folder)


def restore(folder: Path) -> None:
    """What the calls changed is as at the start; folders that servers work in stay the same
    folders."""
    (folder / "memory.jsonl").unlink(missing_ok=True)
    for place in (folder / "work", folder / "repository"):
        for entry in place.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    commit(folder / "repository")


def commit(repository: Path) -> None:
    """A git repository with two commits in that folder, and changes that are in none."""

    def git(*words: str) -> None:
        settings = ["-c", "commit.gpgsign=false"]
        subprocess.run(
            ["git", *settings, *words],
            cwd=repository,
            check=True,
            capture_output=True,
            env=_GIT_ENV,
        )

    git("init", "-q", "-b", "main")
    git("config", "user.name", "Ada")
    git("config", "user.email", "ada@example.com")
    for number, message in enumerate(["Begin", "Go on"]):
        (repository / "notes.txt").write_text(f"line {number}\n")
        git("add", ".")
        git("commit", "-q", "-m", message)
    (repository / "notes.txt").write_text("line 1\nline 2 ✓\n")
    (repository / "new.txt").write_text("new\n")


_GIT_ENV = {
    **os.environ,
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
}

_PAGES = {
    "/robots.txt": ("text/plain", "User-agent: *\nDisallow: /private/\n"),
    "/page.html": (
        "text/html",
        "<html><title>Page</title><body><h1>One</h1><p>two <b>three</b> ✓</p></body></html>",
    ),
    "/private/page.html": ("text/html", "<p>not for robots</p>"),
}


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, text = _PAGES.get(self.path, ("text/plain", "no such page"))
        body = text.encode()
        self.send_response(200 if self.path in _PAGES else 404)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def pages() -> Iterator[str]:
    """A web server on loopback; gives its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()
