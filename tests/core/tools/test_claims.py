"""What a call touches, told from its arguments: by the operator's word, or by the names of those
that hold paths."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.tools.claims import (
    MAX_CLAIMS,
    MAX_KEY,
    MAX_LOOKED_AT,
    AccessRules,
    KeyTemplate,
    ResourceClaim,
    ResourceName,
    access_rules_of,
    as_written,
)
from plait.core.tools.policy import ToolPolicy
from plait.core.values.strict import JsonObject
from tests.core.scheduling.places import as_named
from tests.fakes import tool

from ..tables import table

STRING = {"type": "string"}


def claimed(rules: AccessRules, arguments: JsonObject) -> tuple[ResourceClaim, ...]:
    """The claims of a call, where no link leads anywhere else."""
    accesses = rules.accesses(arguments)
    return () if accesses is None else accesses.claims(as_named(accesses.files))


def told(rules: AccessRules | None, arguments: dict[str, Any]) -> list[str] | None:
    """Each claim as `reads file:x` or `writes file:x`; None where nothing is known of the tool."""
    if rules is None:
        return None
    return [
        f"{'writes' if claim.writes else 'reads'} {claim.key}"
        for claim in claimed(rules, arguments)
    ]


def by_policy(
    reads: tuple[str, ...] | None, writes: tuple[str, ...] | None, arguments: Any
) -> list[str] | None:
    policy = ToolPolicy(reads=reads, writes=writes)
    return told(access_rules_of(tool("s:do", {"path": STRING}), policy), arguments)


def by_name(
    name: str, value: Any, schema: Any = STRING, tool_name: str = "s:do", **hints: Any
) -> list[str] | None:
    """What a call touches whose only argument is *name*, where the operator has said nothing."""
    definition = tool(tool_name, {name: schema}, **hints)
    return told(access_rules_of(definition, ToolPolicy()), {} if value is None else {name: value})


@table(
    ("template", "arguments", "claims"),
    [
        ("file:{path}", {"path": "a/b"}, ["writes file:a/b"]),
        ("db:users", {"path": "a"}, ["writes db:users"]),
        ("db:{db}/{table}", {"db": "main", "table": "users"}, ["writes db:main/users"]),
        ("file:{dir}/{name}.txt", {"dir": "a", "name": "b"}, ["writes file:a/b.txt"]),
        ("file:{paths}", {"paths": ["a", "b"]}, ["writes file:a", "writes file:b"]),
        ("db:{a}/{b}", {"a": ["x", "y"], "b": ["1", "2"]}, ["writes db:x/1", "writes db:x/2",
        "writes db:y/1",
                                                           "writes db:y/2"]),
        ("file:{paths}", {"paths": [["a"], ["b"]]}, ["writes file:a", "writes file:b"]),
        ("file:{paths}", {"paths": ["a", "a"]}, ["writes file:a"]),
        ("repo:{target.owner}/{target.name}", {"target": {"owner": "o", "name": "n"}},
        ["writes repo:o/n"]),
        ("item:{number}", {"number": 7}, ["writes item:7"]),
        ("db:{table}", {}, ["writes db:"]),
        ("db:{table}", {"table": None}, ["writes db:"]),
        ("db:{table}", {"table": {"name": "x"}}, ["writes db:"]),
        ("db:{table}", {"table": []}, ["writes db:"]),
        ("repo:{target.name}", {"target": "no object"}, ["writes repo:"]),
    ],
)  # fmt: skip
def test_a_template_is_filled_from_the_arguments(
    template: str, arguments: Any, claims: list[str]
) -> None:
    assert by_policy(None, (template,), arguments) == claims


def test_an_absent_argument_claims_all_that_the_template_may_mean() -> None:
    arguments_given: tuple[JsonObject, ...] = ({}, {"table": "users"})
    [absent], [given] = (
        claimed(AccessRules("s", writes=(KeyTemplate.parse("db:{table}"),)), arguments)
        for arguments in arguments_given
    )
    assert absent.steps == given.steps[:1]


@table(
    ("reads", "writes", "claims"),
    [
        (("file:{path}",), None, ["reads file:x"]),
        (("file:{path}",), ("db:log",), ["reads file:x", "writes db:log"]),
        (("file:{path}",), ("file:{path}",), ["writes file:x"]),
        ((), None, None),
        ((), (), None),
    ],
)
def test_the_operators_word_counts_and_an_empty_list_says_that_nothing_is_touched(
    reads: Any, writes: Any, claims: list[str] | None
) -> None:
    assert by_policy(reads, writes, {"path": "x"}) == claims


@table(
    "text",
    ["", "path", "{path}", "file:{path", "file:path}", "file:{}", "file:{a b}", "file:{{path}}",
    "f:x", "1:x",
     "file:{a.}"],
)  # fmt: skip
def test_an_invalid_template_is_refused_with_a_valid_one(text: str) -> None:
    with pytest.raises(ValueError, match=r'scheme:path.*"file:\{path\}"'):
        KeyTemplate.parse(text)


@table(
    "name",
    [
        "path", "paths", "Path", "file", "files", "filename", "filePath", "file_path", "file-path",
        "filepath",
        "absolutePath", "directory", "directories", "dir", "folder", "source", "sources",
        "destination", "src", "dst",
        "dest", "output_dir", "outputFile", "target_filename", "notebook_path", "repo_path",
        "repository",
    ],
)  # fmt: skip
def test_an_argument_of_a_usual_name_holds_a_path(name: str) -> None:
    assert by_name(name, "a/b") == ["writes file:a/b"]


@table(
    "name", ["text", "profile", "query", "pathology", "name", "id", "content", "pattern", "cwds"]
)
def test_an_argument_of_another_name_holds_none(name: str) -> None:
    assert by_name(name, "a/b") is None


@table(
    ("name", "value", "claims"),
    [
        ("uri", "file:///a/b", ["writes file:/a/b"]),
        ("url", "file:///a/b", ["writes file:/a/b"]),
        ("fileUri", "file:///a/b", ["writes file:/a/b"]),
        ("file-url", "file:///a/b", ["writes file:/a/b"]),
        ("path", "file:///a/b", ["writes file:/a/b"]),
        ("uri", "https://example.org/a", []),
        ("fileUri", "https://example.org/a", []),
        ("uri", "a/b", []),
    ],
)
def test_a_uri_is_a_path_only_where_it_begins_with_file(
    name: str, value: str, claims: list[str]
) -> None:
    assert by_name(name, value) == claims


@table(
    ("schema", "value", "claims"),
    [
        ({"type": "array"}, ["a", "b"], ["writes file:a", "writes file:b"]),
        ({"type": ["string", "null"]}, "a", ["writes file:a"]),
        ({"type": ["string", "null"], "default": None}, None, []),
        ({"type": "string", "default": "."}, None, ["writes file:"]),
        ({"type": "string"}, None, []),
        ({}, "a", ["writes file:a"]),
        (True, "a", ["writes file:a"]),
        ({"type": "boolean"}, True, None),
        ({"type": "integer"}, 3, None),
        ({"type": "object"}, {"a": "b"}, None),
    ],
)
def test_a_path_is_a_text_or_a_list_of_texts_and_its_default_counts(
    schema: Any, value: Any, claims: Any
) -> None:
    assert by_name("path", value, schema) == claims


@table(
    ("name", "hints", "how"),
    [
        ("s:do", {}, "writes"),
        ("s:do", {"readOnlyHint": True}, "reads"),
        ("s:read_file", {"readOnlyHint": False}, "writes"),
        ("s:write_file", {"readOnlyHint": True}, "reads"),
        ("s:read_file", {}, "reads"),
        ("s:readTextFile", {}, "reads"),
        ("s:list-directory", {}, "reads"),
        ("s:read_and_delete", {}, "writes"),
        ("s:find_and_replace", {}, "writes"),
        ("s:open_issue_create", {}, "writes"),
        ("s:transmogrify", {}, "writes"),
    ],
)
def test_without_an_annotation_a_tool_reads_only_if_its_name_says_nothing_else(
    name: str, hints: Any, how: str
) -> None:
    assert by_name("path", "a", tool_name=name, **hints) == [f"{how} file:a"]


def test_a_task_adds_what_it_says_itself() -> None:
    rules = AccessRules(
        "s", paths=(("path", None),), task_reads=("x", "db:t"), task_writes=("file:/y",)
    )
    assert told(rules, {"path": "z"}) == [
        "reads file:x",
        "reads db:t",
        "writes file:/y",
        "reads file:z",
    ]


def test_a_resource_that_is_read_and_written_is_claimed_once_and_written() -> None:
    rules = AccessRules("s", paths=(("path", None),), task_writes=("x",))
    assert told(rules, {"path": "x"}) == ["writes file:x"]


@table(
    ("key", "steps"),
    [
        ("file:/a/b", ("file:", "a", "b")),
        ("file:/a//b/", ("file:", "a", "b")),
        ("file:/a/./b/../c", ("file:", "a", "c")),
        ("file:///a", ("file:", "a")),
        ("file:.", ("file:",)),
        ("file:/", ("file:",)),
        ("db:", ("db:",)),
        ("db:users", ("db:", "users")),
    ],
)
def test_a_key_becomes_steps_without_dots_and_empty_ones(key: str, steps: tuple[str, ...]) -> None:
    [claim] = claimed(AccessRules("s", task_writes=(key,)), {})
    assert claim.steps == steps


def test_a_file_is_claimed_at_its_place_and_anything_else_as_it_is_written() -> None:
    accesses = AccessRules("s", task_writes=("link/x", "DB:t//u/../v")).accesses({})
    assert accesses is not None
    assert accesses.files == (ResourceName("s", "file:link/x"),)
    link, table = accesses.claims({ResourceName("s", "file:link/x"): "file:/real/x"})
    assert (link.key, link.steps) == ("file:/real/x", ("file:", "real", "x"))
    assert (table.key, table.steps) == ("db:t/v", ("db:", "t", "v"))


def test_a_call_that_accesses_nothing_has_no_accesses() -> None:
    assert AccessRules("s", paths=(("path", None),)).accesses({}) is None


@table(
    ("key", "written"),
    [
        ("db:users", "db:users"),
        ("DB:users//rows/./7/", "db:users/rows/7"),
        ("repo:ada/x/../y", "repo:ada/y"),
        ("db:", "db:"),
        ("https://example.com/a%20b", "https://example.com/a%20b"),
        ("db:" + "x" * MAX_KEY, "db:"),
        ("db:\ud800", "db:\\ud800"),
    ],
)
def test_a_key_that_needs_no_file_system_is_plain(key: str, written: str) -> None:
    assert as_written(key) == written


def test_a_call_that_touches_very_much_claims_what_holds_it_all() -> None:
    paths = [f"a/b/{number}" for number in range(MAX_CLAIMS)]
    assert len(by_name("paths", paths) or ()) == MAX_CLAIMS
    [claim] = claimed(
        AccessRules("s", paths=(("paths", None),), paths_write=True), {"paths": [*paths, "a/c"]}
    )
    assert (claim.key, claim.writes, claim.steps) == ("file:/a", True, ("file:", "a"))


def test_of_what_holds_it_all_each_scheme_is_claimed_and_written_if_one_of_it_is() -> None:
    paths: JsonObject = {"paths": [f"a/{number}" for number in range(MAX_CLAIMS)]}
    rules = AccessRules("s", paths=(("paths", None),), task_reads=("db:x/y",), task_writes=("a/w",))
    assert [(claim.steps, claim.writes) for claim in claimed(rules, paths)] == [
        (("db:", "x", "y"), False), (("file:", "a"), True),
    ]  # fmt: skip


def test_no_argument_makes_more_keys_than_are_looked_at() -> None:
    """Two lists of thousands in one template would make millions of keys."""
    many: Any = [str(number) for number in range(5_000)]
    rules = AccessRules(
        "s", writes=(KeyTemplate.parse("db:{a}/{b}"),), paths=(("a", None),), task_reads=("kv:x",)
    )
    accesses = rules.accesses({"a": many, "b": many})
    assert accesses is not None
    assert len(accesses.keys) <= MAX_LOOKED_AT
    assert [(claim.steps, claim.writes) for claim in accesses.claims(as_named(accesses.files))] == [
        (("db:",), True), (("kv:",), False), (("file:",), False),
    ]  # fmt: skip
    assert len(rules.described({"a": many, "b": many})) == MAX_CLAIMS


def test_the_resources_of_a_task_follow_from_the_arguments_that_its_templates_name() -> None:
    templates = (KeyTemplate.parse("db:{a}/{b.c}"), KeyTemplate.parse("file:x"))
    assert AccessRules("s", reads=templates, paths=(("path", None),)).argument_names == {
        "a",
        "b",
        "path",
    }
