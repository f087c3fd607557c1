"""The options of `plait serve` that matter to a shared gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.machine.options import Options
from plait.upstream.transports.served import SERVE, SERVE_HTTP, Hello, Refused


def hello(words: list[str], client: str = SERVE) -> Hello:
    return Hello("1", "1", "d", Path("/"), tuple(words), {}, is_isolated=False, client=client)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], Options()),
        (["--config", "a.toml"], Options("a.toml")),
        (["--config=a=b.toml", "--watch"], Options("a=b.toml", is_watching=True)),
        (["--profile", "docs"], Options(profile="docs")),
        (["--log-level", "debug", "--debug"], Options()),
    ],
)
def test_options_are_read_as_they_are_written(words: list[str], options: Options):
    assert Options.of(hello(words)) == options


@pytest.mark.parametrize("words", [["--http", "8420"], ["--conf", "x"], ["extra"], ["--config"]])
def test_other_words_are_refused(words: list[str]):
    with pytest.raises(Refused, match="plait serve:") as refused:
        Options.of(hello(words))
    assert refused.value.code == "settings"


def test_clients_over_http_are_those_of_another_desk():
    assert Options.of(hello([], SERVE_HTTP)) == Options(is_http=True)
