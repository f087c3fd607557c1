"""Checks the English of docstrings, comments, messages and documentation for words that make a
reader stumble.

    python -m tests.english [FILE…]     default: the files below `CHECKED`; exits with 1 on findings

A sentence says who does what, with the field's verb: send, notify, log, record, report, finish,
fail, expire, retry, acquire, release. A docstring begins with a verb (functions) or the thing's own
noun (values). Text in backticks and in code fences is code and is not read.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CHECKED = (
    "README.md",
    "docs",
    "scripts",
    "src/plait/app",
    "src/plait/calls",
    "src/plait/cli",
    "src/plait/config",
    "src/plait/core",
    "src/plait/door",
    "src/plait/door",
    "src/plait/downstream",
    "src/plait/engine",
    "src/plait/install",
    "src/plait/errors.py",
    "src/plait/machine",
    "src/plait/observers",
    "src/plait/redaction.py",
    "src/plait/stores",
    "src/plait/upstream",
    "src/plait/waiting.py",
    "src/plait/workspace",
    "tests/README.md",
)
"""Where every docstring, comment and message is checked."""

AVOID: dict[str, str] = {
    r"told": "notified, logged, reported, given",
    r"tell(?:s|ing)? (?:of|about)": "report, say, describe",
    r"(?:hear|hears|heard|hearing) of": "learn of, be notified of",
    r"(?:come|comes|came|coming) to (?:its|their|an|the) end": "finish, end",
    r"(?:come|comes|came) to (?:something|nothing)": "succeed, fail, finish",
    r"(?:what|whatever) (?:came|comes|has come|will come|would come) of": "the result of",
    r"(?<!there )(?:is|are|was|were|be) (?:no|none)(?= [a-z]|[,.;:)]|$)": "unknown, missing, "
    "invalid, not a",
    r"so many": "at most N",
    r"nobody": "no client, no caller, none",
    r"mend(?:s|ed|ing)?": "fix",
    r"(?:hold|holds|held|holding) against": "check",
    r"(?:go|goes|went|going) by(?= [a-z])": "follow, obey, use",
    r"beside": "besides, except, with, next to",
    r"for nothing": "without effect, in vain",
    r"that there is not": "missing",
    r"as it (?:came|comes) to its": "as it finished",
    r"whose it is": "the owner",
}
"""Words to avoid, as patterns over whole words, and what to write instead."""
OPENINGS = (
    r"(?:Of|What|Whose|Whoever|Whom|That of|Those of|Since when|How long|How often|How "
    r"many|How much)\b"
)
"""Beginnings that a docstring does not have: it names the thing itself."""

_AVOID = [
    (re.compile(rf"(?<![\w-]){pattern}(?![\w-])", re.IGNORECASE), instead)
    for pattern, instead in AVOID.items()
]
_OPENING = re.compile(OPENINGS)
_CODE = re.compile(r"``.+?``|`[^`]*`|«[^»]*»")
_FENCE = re.compile(r"^ *(```|~~~)")


class Finding(NamedTuple):
    line: int
    words: str
    instead: str


class Text(NamedTuple):
    """Text that people read. `line` is where it begins; `is_docstring` means that it describes what
    it stands in."""

    line: int
    text: str
    is_docstring: bool = False


def check(text: Text) -> Iterator[Finding]:
    """Find the words of *text* to avoid, each with its line."""
    plain = _CODE.sub(lambda code: "\n" * code[0].count("\n") or "_", text.text)
    if text.is_docstring and (opening := _OPENING.match(plain.lstrip())):
        yield Finding(text.line, opening[0], "a verb, or the thing's own noun, at the beginning")
    joined = re.sub(r"\s", " ", plain)
    for pattern, instead in _AVOID:
        for found in pattern.finditer(joined):
            yield Finding(text.line + plain.count("\n", 0, found.start()), found[0], instead)


def texts_of_python(source: str) -> Iterator[Text]:
    """Read docstrings, also those of attributes; strings of more than one word; comments."""
    tree = ast.parse(source)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Expr(value=ast.Constant(value=str(text)) as constant):
                    docstrings.add(id(constant))
                    yield Text(constant.lineno, text, is_docstring=True)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if (
                id(node) not in docstrings and " " in text.strip()
            ):
                yield Text(node.lineno, text)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string.lstrip("# "))


def texts_of_markdown(source: str) -> Iterator[Text]:
    """Read the lines outside of code fences."""
    is_code = False
    for number, line in enumerate(source.splitlines(), 1):
        if _FENCE.match(line):
            is_code = not is_code
        elif not is_code:
            yield Text(number, line)


def check_file(file: Path) -> list[Finding]:
    source = file.read_text()
    texts = (
        texts_of_python(source)
        if file.suffix == ".py" or not file.suffix
        else texts_of_markdown(source)
    )
    return sorted({finding for text in texts for finding in check(text)})


def project_files() -> list[Path]:
    """List every file whose English is checked."""
    places = [ROOT / name for name in CHECKED]
    return sorted(
        file
        for place in places
        for file in ([place] if place.is_file() else place.rglob("*"))
        if file.suffix in {".py", ".md"}
    )


def main(names: list[str]) -> int:
    count = 0
    for file in [Path(name).resolve() for name in names] or project_files():
        for finding in check_file(file):
            count += 1
            print(
                f"{file.relative_to(ROOT)}:{finding.line}: {finding.words!r}: write "
                f"{finding.instead}"
            )
    if count:
        print(f"{count} places to rewrite", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
