"""The options of `plait serve` that matter to a shared gateway."""

from __future__ import annotations

import pytest

from plait.machine.options import Options
from plait.upstream.transports.served import Refused


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
    assert Options.parse(words) == options


@pytest.mark.parametrize("words", [["--http", "8420"], ["--conf", "x"], ["extra"], ["--config"]])
def test_other_words_are_refused(words: list[str]):
    with pytest.raises(Refused, match="plait serve:") as refused:
        Options.parse(words)
    assert refused.value.code == "settings"
