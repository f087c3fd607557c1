"""The DAG as a client sends it: its fields and their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StrictBool,
    StrictStr,
)
from pydantic_core import CoreSchema

from .references import is_one
from .repeats import Repeat
from .retries import Retries

Id = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False, strict=True)]
CacheSeconds = Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False, strict=True)]
_STRINGS = Annotated[tuple[StrictStr, ...], Field(strict=False)]
Strings = Annotated[Sequence[str], GetPydanticSchema(lambda _, handler: handler(_STRINGS))]
"""Any sequence for type checkers, since programs write lists; a tuple once it is read."""


def _one_reference(text: str) -> str:
    if not is_one(text):
        raise ValueError("it is not a reference")
    return text


Arguments = Annotated[
    dict[StrictStr, Any] | Annotated[StrictStr, AfterValidator(_one_reference)],
    Field(union_mode="left_to_right"),
]


def _read_as_tuple_of_tasks(_: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    return handler(tuple[Task, ...])


class Task(BaseModel):
    """One tool call of a DAG, one value made of outputs, or a group of tasks (`docs/dag.md`,
    "Tasks").

    A field that says how a tool is called is in `OF_CALLS` (`forms.py`) too, one for groups in
    `OF_GROUPS`, one that changes nothing in what comes out in `HOW_IT_RUNS`. What other engines
    call a field may be added in `variants.py`. A misspelled name, or `"5s"` for a field that ends
    in `_s`, is recognized for every field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: Id
    tool: Annotated[StrictStr, Field(min_length=1, max_length=300)] | None = None
    value: Any = None
    """The output of a task without a tool: any JSON value. A group may have one too."""
    tasks: Annotated[Sequence[Task], GetPydanticSchema(_read_as_tuple_of_tasks)] | None = None
    """The tasks of a group."""
    max_concurrency: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Items of a group at once."""
    fail_fast: StrictBool = False
    arguments: Arguments = Field(default_factory=dict)
    """One reference to an object may stand for all of them."""
    depends_on: Strings = ()
    for_each: list[Any] | dict[StrictStr, Any] | StrictStr | None = None
    on_item_failure: Literal["fail", "skip"] = "fail"
    select: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    when: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    trigger_rule: Literal[
        "all_success", "all_done", "one_failed", "one_success", "none_failed", "always"
    ] = "all_success"
    timeout_s: Seconds | None = None
    retries: Annotated[int, Field(ge=0, le=20, strict=True)] | Retries = 0
    allow_repeat: StrictBool = False
    priority: Annotated[float, Field(allow_inf_nan=False, strict=True)] = 0
    weight: Annotated[int, Field(ge=1, strict=True)] | None = None
    reads: Strings = ()
    writes: Strings = ()
    cache: StrictBool | CacheSeconds | None = None
    repeat: Repeat | None = None
    literal: StrictBool = False

    @property
    def is_value(self) -> bool:
        """Whether it makes a value and calls no tool."""
        return self.tool is None and self.tasks is None

    @property
    def retrying(self) -> Retries:
        """Its `retries`, also where they are a number."""
        return Retries(max=self.retries) if isinstance(self.retries, int) else self.retries

    @property
    def has_value(self) -> bool:
        """Whether its value is written, which may be null."""
        return "value" in self.model_fields_set


class Dag(BaseModel):
    """Tasks, and how to run them as a whole (`docs/dag.md`, "The document"). In Python, `return` is
    `return_`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    tasks: Annotated[Sequence[Task], GetPydanticSchema(_read_as_tuple_of_tasks)]
    return_: Strings | None = Field(
        default=None, validation_alias="return", serialization_alias="return"
    )  # not `alias`, which type checkers take for the only name
    fail_fast: StrictBool = False
    schedule: Literal["eager", "layers"] = "eager"
    max_concurrency: Annotated[int, Field(ge=1, strict=True)] | None = None
    timeout_s: Seconds | None = None
    cleanup_s: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False, strict=True)] = 30.0
    """The time that the tasks with `always` have once the run was stopped."""
    wait_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False, strict=True)] | None = None
    resume_from: StrictStr | None = None
    in_doubt: (
        dict[StrictStr, Literal["retry", "done", "skip"] | dict[Literal["done"], Any]] | None
    ) = None
    """The decisions about calls in doubt, by task, or for all under `*`."""
    durable: Literal["process", "power", "off"] | None = None
    again: StrictBool = False
    dry_run: StrictBool = False
    preview: StrictBool = False
    """Whether it waits before the first call that may change something."""
    apply: StrictStr | None = None
    """The run of a preview that goes on."""
    detail: Literal["concise", "full"] = "concise"
    name: Annotated[StrictStr, Field(max_length=200)] | None = None


TASK_FIELDS = frozenset(Task.model_fields)
HOW_IT_RUNS = frozenset(
    {
        "allow_repeat",
        "cache",
        "literal",
        "max_concurrency",
        "on_item_failure",
        "priority",
        "reads",
        "retries",
        "timeout_s",
        "weight",
        "writes",
    }
)
"""The fields that say how a task runs, not what comes out: a change of them makes it no other task
to a run that resumes."""
DAG_FIELDS = frozenset(
    field.serialization_alias or name for name, field in Dag.model_fields.items()
)
