"""Variables in settings: what each becomes, which are refused, and which values are secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.expand import Expander
from plait.config.places import Steps
from plait.redaction import Secrets

VARIABLES = {"A": "value-of-a", "EMPTY": "", "MY_TOKEN": "the-token", "HOME": "/home/ada"}


class Expanding:
    """An expander in *folder*, with what it reports and what it calls secret."""

    def __init__(self, folder: Path, *, in_client_file: bool = False) -> None:
        self.reports: list[tuple[Steps, str]] = []
        self.secrets = Secrets()
        self.expand = Expander(
            VARIABLES,
            folder,
            lambda unfilled: self.reports.append((unfilled.steps, unfilled.message)),
            self.secrets,
            in_client_file=in_client_file,
        ).expand


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}", "value-of-a"),
        ("x-${A}/${A}", "x-value-of-a/value-of-a"),
        ("${A:-default}", "value-of-a"),
        ("${UNSET:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${file:token}", "s3cret"),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("5$", "5$"),
    ],
)
def test_a_variable_becomes_its_value(tmp_path: Path, text: str, expanded: str):
    (tmp_path / "token").write_text("s3cret\r\n")
    expanding = Expanding(tmp_path)
    assert expanding.expand(text) == expanded
    assert expanding.reports == []


def test_variables_are_expanded_at_any_depth_and_in_no_key(tmp_path: Path):
    value = {"${A}": ["${A}", {"x": "${A}"}], "n": 1, "none": None}
    assert Expanding(tmp_path).expand(value) == {
        "${A}": ["value-of-a", {"x": "value-of-a"}],
        "n": 1,
        "none": None,
    }


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${env:A}", "value-of-a"),
        ("${input:my-token}", "the-token"),
        ("$A and $A", "value-of-a and value-of-a"),
        ("$UNSET", "$UNSET"),
        ("${workspaceFolder}/x", "FOLDER/x"),
        ("${userHome}", "HOME"),
        ("${A}", "value-of-a"),
    ],
)
def test_the_files_of_clients_know_more_variables(tmp_path: Path, text: str, expanded: str):
    expanding = Expanding(tmp_path, in_client_file=True)
    places = {"FOLDER": str(tmp_path), "HOME": "/home/ada"}
    for name, path in places.items():
        expanded = expanded.replace(name, path)
    assert expanding.expand(text) == expanded
    assert expanding.reports == []


@pytest.mark.parametrize("text", ["${env:A}", "${input:my-token}", "${workspaceFolder}"])
def test_settings_of_ours_do_not_know_them(tmp_path: Path, text: str):
    expanding = Expanding(tmp_path)
    expanding.expand({"x": text})
    assert [steps for steps, _ in expanding.reports] == [("x",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "${UNSET}",
            "the variable UNSET is not set; set it in the environment, or give it a default",
        ),
        ("${file:no}", "the file no cannot be read: No such file or directory"),
        (
            "${file:/dev/zero}",
            "the file /dev/zero cannot be read: it has more than 1,048,576 bytes",
        ),
        ("${file:latin}", "the file latin cannot be read: it is not UTF-8"),
        ("${1x}", "a variable's name is letters, digits and _; for the text ${ itself write $${"),
        ("${}", "a variable's name is letters, digits and _;"),
        ("${A", "a variable is not closed by }; for the text ${ itself write $${"),
        ("${UNSET:-${A}}", "the default of UNSET contains a variable, which is not expanded"),
    ],
)
def test_what_cannot_be_filled_in_is_reported_with_its_place(tmp_path: Path, text: str, said: str):
    (tmp_path / "latin").write_bytes(b"\xff")
    expanding = Expanding(tmp_path)
    expanding.expand({"args": ["-", text]})
    [(steps, message)] = expanding.reports
    assert steps == ("args", 1)
    assert message.startswith(said)


@pytest.mark.parametrize(
    "text", ["${s3cret!}", "${C D:-s3cret}", "${UNSET:-s3cret${A}}", "${EMPTY:-x${A}}"]
)
def test_no_value_stands_in_a_report(tmp_path: Path, text: str):
    expanding = Expanding(tmp_path)
    expanding.expand(text)
    [(_, message)] = expanding.reports
    assert "s3cret" not in message
    assert "value-of-a" not in message


def test_every_value_that_is_filled_in_is_secret_unless_it_is_an_existing_path(tmp_path: Path):
    (tmp_path / "key").write_text("key-of-a-file\n")
    expanding = Expanding(tmp_path, in_client_file=True)
    expanding.expand(["${A}", "${W:-default-of-w}", "${file:key}", "literal-text", "$MY_TOKEN"])
    expanding.expand([f"${{P:-{tmp_path}}}", f"${{P:-{tmp_path}/missing}}"])
    assert (
        expanding.secrets.redact(
            "value-of-a default-of-w key-of-a-file literal-text the-token"
            f" {tmp_path} {tmp_path}/missing"
        )
        == f"*** *** *** literal-text *** {tmp_path} ***"
    )


@given(st.text(st.sampled_from("${}:-aA")))
def test_any_text_can_be_written_with_two_dollar_signs_before_each_brace(text: str):
    expanding = Expanding(Path("/nowhere"))
    assert expanding.expand(text.replace("${", "$${")) == text
    assert expanding.reports == []
