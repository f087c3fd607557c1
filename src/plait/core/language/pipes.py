"""Expressions in references: `${OUTPUT[a].items | [?open].id}`.

A pipe starts with `|`, or with the filter or slice that begins its expression, and ends where `??`,
`}` or the text does, outside of quotes and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # a start without a DAG does not need them
    from ..expressions.evaluation import Expression

_SIGN = re.compile(r"\s*\|(?!\|)\s*")
_SHORT = re.compile(r"(?=\[(?:\?|-?[0-9]{0,9}:))")
_PART = re.compile(
    r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"|`(?:[^`\\]|\\.)*+`|\\.|\?\?|[(){}\[\]]", re.DOTALL
)


class Pipe(NamedTuple):
    """The expression that the value of a reference is put through, and where it starts in the text
    that holds the reference."""

    expression: Expression
    start: int
    names: Mapping[str, str] | None = None
    """The keys of what it refers to, as in `Scope`, if it is in a group."""

    @property
    def needs_the_run(self) -> bool:
        """Whether it needs more than the item of its own task: outputs, or the start of the
        run."""
        keys = map(str, self.expression.references)
        return self.expression.reads_start or any(k not in ("$ITEM", "$INDEX") for k in keys)


def pipe_start(text: str, position: int) -> int | None:
    """Return where the expression of the pipe at *position* starts; None without a pipe."""
    found = _SIGN.match(text, position) or _SHORT.match(text, position)
    return None if found is None else found.end()


def pipe_end(text: str, start: int) -> int:
    """Return where the expression that starts at *start* ends."""
    depth = 0
    for part in _PART.finditer(text, start):
        sign = part[0]
        if sign in "([{":
            depth += 1
        elif sign in ")]}" and depth:
            depth -= 1
        elif not depth and sign in ("}", "??"):
            return part.start()
    return len(text)


def read_pipe(text: str, start: int) -> tuple[Pipe, int]:
    """Read the expression that starts at *start* in *text*. Also return where it ends. Raises
    `InvalidExpression`, which says where in *text* it is wrong."""
    from ..expressions.evaluation import expression
    from ..expressions.piped import check_piped, check_word
    from ..expressions.problems import InvalidExpression

    end = pipe_end(text, start)
    try:
        made = expression(text[start:end].strip())
        check_word(made.tree)
        check_piped(made.tree)
    except InvalidExpression as error:
        raise InvalidExpression(error.finding.moved(start)) from None
    return Pipe(made, start), end


def is_text(pipe: Pipe) -> bool:
    """Return whether a pipe behind a reference without braces is rather text: a word alone
    (`$OUTPUT[a].title | docs`), or an expression that makes nothing of the value."""
    from ..expressions.nodes import Field, Reference
    from ..expressions.roots import starts_at_root

    tree = pipe.expression.tree
    is_word = isinstance(tree, Field) and not tree.is_quoted
    return is_word or all(isinstance(start, Reference) for start in starts_at_root(tree))
