"""The completion of names in the time of a bare interpreter: a shell asks at each press of a key.

The names of tools and servers are worked out by `cli/completion.py`, from the settings and from
what servers listed at their last start, which takes half a second. It keeps them in a file of the
state folder, with the stamps of all files that they follow from: where one of these has changed, or
a line is not a plain one, it is asked again. Runs are read from the history, DAGs are files.

A name comes from servers and files, and shells evaluate what completes a word: only plain ones are
offered.

The file has a line for each fact, since `json` takes longer to import than all the rest: the key of
an entry, then the files that it follows from, the tools and the servers. Only a path can hold a tab
or a line break: then the file is not one of ours, and is written anew.
"""

from __future__ import annotations

import os

from .place import state_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    Stamps: TypeAlias = Mapping[str, tuple[int, int] | None]

ASKED = "_PLAIT_COMPLETE"
LINE = "_TYPER_COMPLETE_ARGS"
FISH_ACTION = "_TYPER_COMPLETE_FISH_ACTION"
FILE = "names"
FIRST = "names of plait, 1"
"""The first line of the file, with its version."""
KEY, FOLLOWS = "key", "file"
"""The first words of lines that hold no name."""
MAX_BYTES = 8 * 2**20
MAX_ENTRIES = 50
"""Most folders, files and profiles whose names are kept. The oldest go."""
MAX_RUNS = 30
DAG_ENDS = (".json", ".toml")
TOOLS, SERVERS, RUNS, DAGS = "tools", "servers", "runs", "dags"
DAGS_AND_RUNS = "dags_and_runs"
POSITIONAL = {
    "call": TOOLS,
    "run": DAGS,
    "plan": DAGS,
    "explain": DAGS,
    "graph": DAGS_AND_RUNS,
    "resume": RUNS,
    "approve": RUNS,
    "deny": RUNS,
    "apply": RUNS,
    "history": RUNS,
}
"""The kind of the first word after a command."""
OF_HISTORY = ("audit", "clear", "export", "import", "stats")
"""The commands below `history`, which stand in the place of a run."""
VALUES = {
    "--server": SERVERS,
    "--tool": TOOLS,
    "--run": RUNS,
    "--config": "",
    "--profile": "",
    "--log-level": "",
    "--detail": "",
    "--jobs": "",
    "-j": "",
    "--set": "",
    "--timeout": "",
    "--durable": "",
    "--resume": RUNS,
    "--in-doubt": "",
    "--junit": "",
    "--md": "",
    "--html": "",
    "--output": "",
    "-o": "",
    "--format": "",
}
"""The options with a value, and its kind; empty for what is left to the ordinary command line."""


def answer(environ: Mapping[str, str], folder: str) -> str | None:
    """Return what a shell in *folder* is answered; None if the ordinary command line has to say
    it."""
    form, line = environ.get(ASKED, ""), environ.get(LINE, "")
    wants_list = environ.get(FISH_ACTION) == "get-args"
    if form not in {"complete_fish", "complete_zsh"} or (
        form == "complete_fish" and not wants_list
    ):
        return None
    if (found := names_for(line, environ, folder)) is None:
        return None
    plain = [name for name in found if is_plain(name)]
    if form == "complete_fish":
        return "".join(f"{name}\n" for name in plain)
    shown = "\n".join('"' + name.replace(":", "\\\\:") + '"' for name in plain)
    return f"_arguments '*: :(({shown}))'\n" if plain else "_files\n"


def names_for(line: str, environ: Mapping[str, str], folder: str) -> list[str] | None:
    """Return the names that may stand at the end of *line*; None if that is not known here."""
    if any(char in line for char in "'\"\\$`"):
        return None
    words = line.split()
    start = "" if line[-1:].isspace() else words.pop() if words else ""
    if len(words) < 2 or start.startswith("-"):
        return None
    options: dict[str, str] = {}
    kind = POSITIONAL.get(words[1])
    left = words[2:]
    while left and left[0].startswith("-"):
        option, _, value = left.pop(0).partition("=")
        if option in VALUES and not value:
            if not left:
                return _of_kind(VALUES[option], start, options, environ, folder)
            value = left.pop(0)
        options[option] = value
    if words[1] == "servers" and left == ["accept"]:
        return _of_kind(SERVERS, start, options, environ, folder)
    if left or kind is None:
        return None
    commands = OF_HISTORY if words[1] == "history" else ()
    found = _of_kind(kind, start, options, environ, folder)
    if found is None:
        return None
    return [*(name for name in commands if name.startswith(start)), *found]


def _of_kind(
    kind: str, start: str, options: Mapping[str, str], environ: Mapping[str, str], folder: str
) -> list[str] | None:
    match kind:
        case "runs":
            return runs(state_folder(environ, folder), start)
        case "dags":
            return dags(folder, start)
        case "dags_and_runs":
            return dags(folder, start) + runs(state_folder(environ, folder), start)
        case "tools" | "servers":
            key = key_of(folder, options.get("--config"), options.get("--profile"), environ)
            entry = read(state_folder(environ, folder)).get(key)
            if entry is None or not is_fresh(entry.files):
                return None
            names = entry.tools if kind == TOOLS else entry.servers
            return [name for name in names if name.startswith(start)]
    return None


def runs(state: str, start: str) -> list[str]:
    """Return the ids of the latest runs that begin with *start*."""
    import _sqlite3  # the part that is written in C: the rest takes as long as all of this

    if not is_plain(start or "r"):
        return []
    try:
        opened = _sqlite3.connect(
            f"file:{_escaped(state)}/history.db?mode=ro", uri=True, timeout=0.1
        )
        try:
            rows = opened.execute(
                "SELECT id FROM runs WHERE kind = 'dag' AND id >= ? AND id < ?"
                " ORDER BY number DESC LIMIT ?",
                (start, f"{start}\x7f", MAX_RUNS),
            )
            return [str(id) for (id,) in rows]
        finally:
            opened.close()
    except _sqlite3.Error:  # there is none yet, or a newer one
        return []


def dags(folder: str, start: str) -> list[str]:
    """Return the folders, and the files that may be DAGs, whose paths begin with *start*."""
    before, slash, name = start.rpartition("/")
    try:
        found = [*os.scandir(os.path.join(folder, before + slash))]
    except OSError:
        return []
    names = [
        f"{before}{slash}{one.name}/" if one.is_dir() else f"{before}{slash}{one.name}"
        for one in found
        if one.name.startswith(name)
        and (name.startswith(".") or not one.name.startswith("."))
        and (one.name.endswith(DAG_ENDS) or one.is_dir())
    ]
    return sorted(names)


def is_plain(name: str) -> bool:
    """Return whether no character of *name* means something to a shell."""
    return name.isascii() and all(char.isalnum() or char in "_.:/-" for char in name)


class Entry:
    """The names of some settings, and the stamps of the files that they follow from."""

    def __init__(self, files: Stamps, tools: list[str], servers: list[str]) -> None:
        self.files = files
        self.tools = tools
        self.servers = servers

    def lines(self, key: str) -> list[str]:
        """Return the lines that hold it under *key*."""
        files = [
            "\t".join([FOLLOWS, file, *(() if stamp is None else map(str, stamp))])
            for file, stamp in self.files.items()
        ]
        tools = [f"{TOOLS}\t{name}" for name in self.tools]
        return [f"{KEY}\t{key}", *files, *tools, *(f"{SERVERS}\t{name}" for name in self.servers)]


def key_of(folder: str, config: str | None, profile: str | None, environ: Mapping[str, str]) -> str:
    """Return the key of the settings that are used in *folder*."""
    variables = ("PLAIT_CONFIG", "PLAIT_PROFILE", "HOME", "XDG_CONFIG_HOME")
    return repr((folder, config, profile, *map(environ.get, variables)))


def stamps(files: Iterable[str]) -> Stamps:
    """Return the time and the size of each file; None for one that is missing."""
    return {file: _stamp(file) for file in files}


def is_fresh(files: Stamps) -> bool:
    """Return whether none of *files* has changed since their stamps were taken."""
    return all(_stamp(file) == stamp for file, stamp in files.items())


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def read(state: str) -> dict[str, Entry]:
    """Read the entries that are kept in the folder *state*, by key. Empty if there are none, or the
    file is not one of ours."""
    try:
        with open(os.path.join(state, FILE), "rb") as file:
            first, *lines = file.read(MAX_BYTES).decode().split("\n")
        return _entries(lines) if first == FIRST else {}
    except (OSError, ValueError):
        return {}


def _entries(lines: Iterable[str]) -> dict[str, Entry]:
    """Read entries. Raises `ValueError`."""
    entries: dict[str, Entry] = {}
    files: dict[str, tuple[int, int] | None] = {}
    names: dict[str, list[str]] = {}
    for line in lines:
        match line.split("\t"):
            case ["key", key]:
                files, names = {}, {TOOLS: [], SERVERS: []}
                entries[key] = Entry(files, names[TOOLS], names[SERVERS])
            case ["file", path]:
                files[path] = None
            case ["file", path, time, size]:
                files[path] = (int(time), int(size))
            case ["tools" | "servers" as kind, name] if names:
                names[kind].append(name)
            case [""]:  # behind the last line
                pass
            case _:
                raise ValueError("a line of another file")
    return entries


def keep(state: str, key: str, entry: Entry) -> None:
    """Keep *entry* in the folder *state*, as far as that can be written."""
    entries = {one: kept for one, kept in read(state).items() if one != key}
    kept = [*entries.items(), (key, entry)][-MAX_ENTRIES:]
    text = "\n".join([FIRST, *(line for one, each in kept for line in each.lines(one)), ""])
    fresh = os.path.join(state, f".{FILE}.{os.getpid()}")
    try:
        with open(fresh, "x", encoding="utf-8", newline="", opener=_private) as file:
            file.write(text)
        os.replace(fresh, os.path.join(state, FILE))
    except (OSError, ValueError):
        try:  # noqa: SIM105  # `contextlib` takes 5 ms
            os.unlink(fresh)
        except OSError:
            pass


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _escaped(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
