"""plait call: arguments as people type them, and its result on a terminal and in a file."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.cli.calling import read_arguments
from plait.cli.exits import Misused
from plait.stores.history.shelf import Shelf

from ..fakes import FakeServers, tool
from .conftest import Plait, cut_short


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


PROPERTIES = {
    "text": {"type": "string"},
    "count": {"type": "integer"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "either": {"type": ["string", "number"]},
    "mode": {"enum": ["1", "2"]},
    "open": {},
}
TYPED = tool("s:typed", PROPERTIES)


def test_call_prints_text_as_it_is_and_anything_else_as_json(plait: Plait):
    assert plait("call", "s:say", '{"text": "two\\nlines"}').stdout == "two\nlines\n"
    assert json.loads(plait("call", "s:echo", '{"n": [1, 2]}').stdout) == {"n": [1, 2]}


def test_call_passes_references_on_as_they_are(plait: Plait):
    for text in ("$OUTPUT[a].b", "$ITEM.x", "{{call.x}}", "$prev.x"):
        assert plait("call", "s:say", json.dumps({"text": text})).stdout == f"{text}\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("s:fail",), 1, "tool_error: EACCES: /x"),
        (("s:echo", "{"), 2, "not JSON"),
        (("s:echo", "[]"), 2, "not a JSON object"),
        (("s:say", "{}"), 3, "text"),
        (("s:nope",), 3, "Unknown tool"),
        (("far:look",), 5, "connection refused"),
    ],
)
def test_a_call_that_gives_nothing_says_why(
    plait: Plait, words: tuple[str, ...], code: int, said: str
):
    result = plait("call", *words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_call_as_json_is_the_result_of_a_run(plait: Plait):
    document = json.loads(plait("call", "s:echo", '{"n": 1}', "--json").stdout)
    assert document["outputs"] == {"call": {"n": 1}}


def test_an_interrupted_call_is_cancelled_and_its_result_shown(plait: Plait, servers: FakeServers):
    async def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    servers.add(tool("s:interrupted", {}), interrupted)
    result = plait("call", "s:interrupted", "--json")
    assert (result.exit_code, servers.aborted) == (130, ["s:interrupted"])
    document = json.loads(result.stdout)
    assert (document["status"], document["errors"][0]["code"]) == ("cancelled", "cancelled")


def test_a_refused_call_names_places_as_they_are_typed(plait: Plait):
    result = plait("call", "s:ekko")
    assert (result.exit_code, result.stdout) == (3, "")
    assert '1. tool  Unknown tool "s:ekko"' in result.stderr
    assert "tasks[0]" not in result.stderr
    missing = plait("call", "s:say", "txt=x")
    assert "  1. arguments" in missing.stderr
    assert '"call"' not in missing.stderr


def test_a_failed_call_is_named_by_its_tool(plait: Plait):
    assert "✗ s:fail  tool_error: EACCES: /x" in plait("call", "s:fail").stderr


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=12", "12"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("count=12", 12),
        ("count=twelve", "twelve"),
        ('tags=["a", "b"]', ["a", "b"]),
        ("tags=a", ["a"]),
        ("either=1.5", 1.5),
        ("either=x", "x"),
        ("mode=1", "1"),
        ("open=true", True),
        ("open=yes", "yes"),
        ("unknown=[1]", [1]),
    ],
)
def test_a_value_is_read_as_the_type_that_its_tool_wants(word: str, value: Any):
    assert read_arguments([word], TYPED) == {word.partition("=")[0]: value}


def test_arguments_come_from_words_files_and_standard_input(plait: Plait, tmp_path: Path):
    (tmp_path / "given.json").write_text('{"a": 1, "b": 1}', encoding="utf-8-sig")
    words = ("@given.json", "-", "b=2", '{"c": 3}')
    result = plait("call", "s:echo", *words, input='{"d": "$OUTPUT[x]"}')
    assert json.loads(result.stdout) == {"a": 1, "b": 2, "c": 3, "d": "$OUTPUT[x]"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("{", "this is not JSON"),
        ("[]", "not a JSON object"),
        ('{"a": 1, "a": 2}', "twice"),
        ("README.md", "not JSON"),
    ],
)
def test_arguments_that_cannot_be_read_are_refused_with_an_example(word: str, said: str):
    with pytest.raises(Misused, match=said) as refused:
        read_arguments([word], None)
    assert str(refused.value).endswith("""or a JSON object such as '{"path": "README.md"}'.""")


def test_a_file_of_arguments_that_cannot_be_read_is_a_wrong_command_line(
    plait: Plait, tmp_path: Path
):
    (tmp_path / "utf16.json").write_text("{}", encoding="utf-16")
    for word, why in (
        ("@nowhere", "No such file"),
        ("@utf16.json", "it is not UTF-8"),
        ("@/dev/zero", "it has more than 67,108,864 bytes"),
    ):
        result = plait("call", "s:echo", word)
        assert result.exit_code == 2
        assert why in result.stderr


@pytest.fixture
def pictures(servers: FakeServers) -> FakeServers:
    image = {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}
    blob = {"type": "resource", "resource": {"uri": "x://y", "blob": "eWVz"}}
    content = [{"type": "text", "text": "Two of them"}, image, blob]
    servers.add(tool("s:picture", {}), lambda: {"content": content, "isError": False})
    return servers


def test_binary_content_is_never_printed_but_saved(
    plait: Plait, pictures: FakeServers, tmp_path: Path
):
    shown = plait("call", "s:picture")
    assert "(image/png, 5 bytes: not shown)" in shown.stdout
    assert "(binary data, 3 bytes: not shown)" in shown.stdout
    assert "aGVsbG8" not in shown.stdout
    assert "2 binary parts: save it with -o FILE" in shown.stderr
    saved = plait("call", "s:picture", "-o", "out.png")
    assert (saved.exit_code, saved.stdout) == (0, "")
    assert "saved in out.png, out-2.png" in saved.stderr
    assert (tmp_path / "out.png").read_bytes() == b"hello"
    assert (tmp_path / "out-2.png").read_bytes() == b"yes"
    assert "aGVsbG8=" in plait("call", "s:picture", "--json").stdout


def test_a_result_without_binary_content_is_saved_as_text(plait: Plait, tmp_path: Path):
    assert plait("call", "s:say", "text=hi", "-o", "out.txt").exit_code == 0
    assert (tmp_path / "out.txt").read_text() == "hi\n"


def test_a_document_is_saved_and_printed(plait: Plait, tmp_path: Path):
    both = plait("call", "s:say", "text=hi", "--json", "-o", "out.txt")
    assert json.loads(both.stdout)["outputs"] == {"call": "hi"}
    assert (tmp_path / "out.txt").read_text() == "hi\n"


@pytest.mark.parametrize(
    ("place", "why"), [("no/such/folder", "there is no folder no/such"), (".", "it is a folder")]
)
def test_nothing_is_called_for_a_file_that_cannot_be_written(
    plait: Plait, servers: FakeServers, place: str, why: str
):
    refused = plait("call", "s:say", "text=hi", "-o", place)
    assert refused.exit_code == 2
    assert f"Invalid value for -o: {place}: {why}, so nothing was called." in refused.stderr
    assert servers.calls == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_result_that_cannot_be_saved_is_named_and_not_lost(
    plait: Plait, options: tuple[str, ...]
):
    ended = plait("call", "s:say", "text=hi", "-o", "/dev/full", *options)
    assert ended.exit_code == 1
    assert "error: /dev/full cannot be written: No space left on device." in ended.stderr
    assert "The call was made, and plait history shows its result." in ended.stderr
    assert "saved" not in ended.stderr
    assert not options or json.loads(ended.stdout)["status"] == "success"


def test_a_call_that_was_interrupted_says_so_and_is_made_again_if_that_is_meant(
    plait: Plait, servers: FakeServers, shelf: Shelf
):
    plait("call", "s:say", "text=hello")
    cut_short(shelf)
    shown = plait("call", "s:say", "text=hello")
    assert (shown.exit_code, len(servers.calls)) == (1, 1)
    assert "nothing was run" in shown.stderr
    assert f"plait resume {next(iter(shelf.runs))}" in shown.stderr
    anew = plait("call", "s:say", "text=hello", "--again")
    assert (anew.exit_code, len(servers.calls)) == (0, 2)
    assert "nothing was run" not in anew.stderr


def test_a_word_that_is_no_text_is_named(plait: Plait, servers: FakeServers):
    refused = plait("call", "s:say", "text=caf\udce9")
    assert refused.exit_code == 2
    assert "'text=caf\\udce9' is not UTF-8" in refused.stderr
    assert servers.calls == []
