"""Evaluation: an expression is read once and evaluated as often as wished."""

from __future__ import annotations

from functools import lru_cache

from ..values.problems import MAX_FIX_CHARS
from ..values.strict import Json
from .absences import Absences, lookups_of
from .budget import FEW_UNITS, Work, size
from .closures import compiled, holding
from .frame import Bindings, Frame
from .functions import FUNCTIONS
from .nodes import Call, Members, Node, Projection, Reference, Selection, walk
from .problems import InvalidExpression
from .roots import fields_at_root, with_outputs
from .slips import find_slip
from .syntax import parse

_BUILDERS = (Selection, Members, Projection, Call)
"""Nodes that may share parts of their result."""


class Expression:
    """An expression that was read: its tree, its references, and how to evaluate it."""

    __slots__ = (
        "_builds",
        "_run",
        "has_lookups",
        "reads_result",
        "reads_start",
        "references",
        "text",
        "tree",
    )

    def __init__(
        self, text: str, tree: Node, *, of_tasks: bool = False, is_test: bool = False
    ) -> None:
        self.text = text
        self.tree = tree
        """The tree as written: in a `when`, with names of tasks."""
        evaluated = with_outputs(tree) if of_tasks else tree
        nodes = list(walk(evaluated))
        self.references = tuple(
            dict.fromkeys(node.key for node in nodes if isinstance(node, Reference))
        )
        self._builds = any(isinstance(node, _BUILDERS) for node in nodes)
        self.reads_result = any(node.name == "result" for node in fields_at_root(tree))
        """Whether it names the `result` of a wrapper itself."""
        self.reads_start = any(
            isinstance(node, Call) and node.name in FUNCTIONS and FUNCTIONS[node.name].reads_start
            for node in nodes
        )
        """Whether it gives something else in a run that starts at another time."""
        self.has_lookups = any(
            isinstance(node, Projection)
            and node.condition is not None
            and lookups_of(node.condition)
            for node in nodes
        )
        """Whether it has filters that look up paths in elements, which may be absent."""
        self._run = holding(evaluated) if is_test else compiled(evaluated)

    def __repr__(self) -> str:
        return f"<Expression {self.text}>"

    def evaluate(
        self,
        value: Json,
        bindings: Bindings | None = None,
        *,
        is_wrapped: bool = False,
        start: float | None = None,
        work: Work | None = None,
        absences: Absences | None = None,
    ) -> Json:
        """Evaluate it for *value*, which may be a wrapper `{"result": x}`, in a run that started at
        *start*, in seconds since 1970. Paths of filters that no element has are added to
        *absences*. Raises `ExpressionFailed`, or `ReferenceFailed` for a quoted text with a missing
        reference.

        References without a value in *bindings* are null. The steps that it takes are added to
        *work*. The result may share parts with the input, which is not changed.
        """
        frame = Frame(value, bindings or {}, start, absences)
        budget = frame.budget
        if is_wrapped and not self.reads_result and isinstance(value, dict):
            value = value["result"]
        try:
            found: Json = self._run(value, frame)
            if self._builds and isinstance(found, list | dict):
                budget.make(size([found], 2 * (budget.allowed - budget.made) + FEW_UNITS))
        finally:
            if work is not None:
                work.steps += budget.spent
        return found


@lru_cache(maxsize=512)
def expression(text: str) -> Expression:
    """Read *text* as an expression over one value. Raises `InvalidExpression`."""
    return _made(text)


@lru_cache(maxsize=512)
def test(text: str) -> Expression:
    """Read *text* as a question about one value, in which 0 is false. Raises
    `InvalidExpression`."""
    return _made(text, is_test=True)


@lru_cache(maxsize=512)
def condition(text: str) -> Expression:
    """Read *text* as a `when`: the names it starts from are tasks, so `a.x` is `$OUTPUT[a].x`, and
    in `references`, and 0 is false. Raises `InvalidExpression`."""
    return _made(text, of_tasks=True, is_test=True)


def _made(text: str, *, of_tasks: bool = False, is_test: bool = False) -> Expression:
    try:
        return Expression(text, parse(text), of_tasks=of_tasks, is_test=is_test)
    except InvalidExpression as error:
        slip = find_slip(text) if len(text) <= MAX_FIX_CHARS else None
        raise InvalidExpression(slip or error.finding) from None
