"""Parsers of git's output for machines: porcelain v2, raw and numstat, and a log format with
NULs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from .schema import Output

LOG_FIELDS = 7
LOG_FORMAT = "--format=tformat:%H%x00%P%x00%an%x00%ae%x00%aI%x00%s%x00%b"
STATUS = {
    "M": "modified",
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "T": "type changed",
}


class Branch(Output):
    name: Annotated[str, Field(description='The branch, or "(detached)".')]
    commit: Annotated[str, Field(description='The commit that is checked out, or "(initial)".')]
    upstream: Annotated[str | None, Field(description="The branch it follows.")] = None
    ahead: Annotated[int | None, Field(description="Commits that upstream does not have.")] = None
    behind: Annotated[int | None, Field(description="Commits that only upstream has.")] = None


class StatusEntry(Output):
    path: Annotated[str, Field(description="The file, from the workspace root.")]
    kind: Annotated[
        Literal["changed", "renamed", "unmerged", "untracked"], Field(description="What it is.")
    ]
    index: Annotated[
        str, Field(description="git's letter for the index: M, A, D, R, C, T, U; . is unchanged.")
    ]
    worktree: Annotated[str, Field(description="git's letter for the work tree; ? is untracked.")]
    old_path: Annotated[str | None, Field(description="Where it was before, if renamed.")] = None


class Status(Output):
    branch: Branch
    entries: list[StatusEntry]
    clean: Annotated[bool, Field(description="Whether nothing has changed.")]
    truncated: Annotated[
        bool, Field(description="Whether there are more entries than max_entries.")
    ]


class ChangedFile(Output):
    path: Annotated[str, Field(description="The file, from the workspace root.")]
    status: Annotated[
        str,
        Field(description="modified, added, deleted, renamed, copied, type changed, or unmerged."),
    ]
    added: Annotated[int | None, Field(description="Lines added; none for a binary file.")] = None
    deleted: Annotated[int | None, Field(description="Lines deleted; none for a binary file.")] = (
        None
    )
    old_path: Annotated[
        str | None, Field(description="Where it was before, if renamed or copied.")
    ] = None


class Diff(Output):
    files: list[ChangedFile]
    diff: Annotated[str, Field(description="The unified diff.")]
    truncated: Annotated[bool, Field(description="Whether max_bytes cut the diff.")]


class Commit(Output):
    commit: Annotated[str, Field(description="The full id.")]
    parents: list[str]
    author: str
    email: str
    date: Annotated[str, Field(description="When it was written, ISO 8601.")]
    subject: Annotated[str, Field(description="The first line of the message.")]
    body: Annotated[str, Field(description="The rest of the message.")]


class Log(Output):
    commits: list[Commit]
    truncated: Annotated[bool, Field(description="Whether there are older commits.")]


def status_of(output: bytes, prefix: str, most: int) -> tuple[Branch, list[StatusEntry], bool]:
    """Parse `git status --porcelain=v2 --branch -z`: branch, at most `most` entries, and whether
    there are more.

    `prefix` is put before every path, so that it starts at the workspace root.
    """
    records = iter(texts(output))
    headers: dict[str, str] = {}
    entries: list[StatusEntry] = []
    for record in records:
        if record.startswith("# "):
            name, _, value = record.removeprefix("# branch.").partition(" ")
            headers[name] = value
        elif len(entries) == most:
            return _branch(headers), entries, True
        else:
            entries.append(_status_entry(record, records, prefix))
    return _branch(headers), entries, False


def _branch(headers: dict[str, str]) -> Branch:
    ahead, behind = (
        (abs(int(count)) for count in headers["ab"].split()) if "ab" in headers else (None, None)
    )
    return Branch(
        name=headers["head"],
        commit=headers["oid"],
        upstream=headers.get("upstream"),
        ahead=ahead,
        behind=behind,
    )


def _status_entry(record: str, records: Iterator[str], prefix: str) -> StatusEntry:
    """Parse one record, and for a rename the next one too (git-status(1), "Porcelain Format Version
    2")."""
    match record[0]:
        case "1":
            states, path = record.split(" ", 8)[1::7]
            return StatusEntry(
                path=prefix + path, kind="changed", index=states[0], worktree=states[1]
            )
        case "2":
            states, path = record.split(" ", 9)[1::8]
            old = prefix + next(records, "")
            return StatusEntry(
                path=prefix + path,
                kind="renamed",
                index=states[0],
                worktree=states[1],
                old_path=old,
            )
        case "u":
            states, path = record.split(" ", 10)[1::9]
            return StatusEntry(
                path=prefix + path, kind="unmerged", index=states[0], worktree=states[1]
            )
        case _:
            return StatusEntry(path=prefix + record[2:], kind="untracked", index="?", worktree="?")


def changed_files(output: bytes, prefix: str) -> list[ChangedFile]:
    """Parse `git diff --raw --numstat -z`: first a record with its status for each file, then one
    with numbers."""
    rest = iter(texts(output))
    statuses: dict[str, str] = {}
    files: list[ChangedFile] = []
    for field in rest:
        if field.startswith(":"):
            letter = field.rpartition(" ")[2][0]
            path = next(rest, "")
            path = next(rest, "") if letter in "RC" else path
            # A file in conflict has two records, and the first one has that status.
            statuses.setdefault(path, STATUS.get(letter, "unmerged"))
        else:
            files.append(_changed_file(field, rest, statuses, prefix))
    return files


def _changed_file(
    field: str, rest: Iterator[str], statuses: dict[str, str], prefix: str
) -> ChangedFile:
    added, deleted, path = field.split("\t", 2)
    old_path = None if path else prefix + next(rest, "")
    path = path or next(rest, "")
    return ChangedFile(
        path=prefix + path,
        status=statuses.get(path, "modified"),
        added=None if added == "-" else int(added),
        deleted=None if deleted == "-" else int(deleted),
        old_path=old_path,
    )


def commits_of(output: bytes) -> list[Commit]:
    """Parse `git log -z` in `LOG_FORMAT`."""
    fields = texts(output)
    return [
        _commit(fields[end - LOG_FIELDS : end])
        for end in range(LOG_FIELDS, len(fields) + 1, LOG_FIELDS)
    ]


def _commit(fields: Sequence[str]) -> Commit:
    commit, parents, author, email, date, subject, body = fields
    return Commit(
        commit=commit,
        parents=parents.split(),
        author=author,
        email=email,
        date=date,
        subject=subject,
        body=body.strip(),
    )


def texts(output: bytes) -> list[str]:
    """Split into fields that end in NUL; a last one that was cut off is left out."""
    return [field.decode("utf-8", "replace") for field in output.split(b"\0")[:-1]]
