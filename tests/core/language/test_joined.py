"""Texts that programs would put together: refused, with the one text that means the same."""

from __future__ import annotations

from plait.core.language.joined import Joined, is_in_a_program, joined
from plait.core.language.lookalikes import in_text

from ..steps import steps
from ..tables import table

IDS = ("a", "b.c")


@table(
    ("text", "fixed"),
    [
        ('"n=" + a.x', "n=${OUTPUT[a].x}"),
        ("'n=' + a.x + ' of ' + a.items[0].y", "n=${OUTPUT[a].x} of ${OUTPUT[a].items[0].y}"),
        ("a.x + ' issues'", "${OUTPUT[a].x} issues"),
        ("'n=' ~ b.c.x", "n=${OUTPUT[b.c].x}"),
        ('"n=" & $OUTPUT[a].x', "n=${OUTPUT[a].x}"),
        ("$OUTPUT[a].x + 's'", "${OUTPUT[a].x}s"),
        ("'n=' .. a.x", None),
        ("'a\\n' + a.x", None),
        ("'{}' + a.x", None),
        ("'n={}'.format(a.x)", None),
        ("'n=%s' % a.x", None),
        ("'n=%s' % (a.x, a.y)", None),
    ],
)
def test_quoted_texts_and_references_with_signs_between_them_are_one_text(
    text: str, fixed: str | None
) -> None:
    assert joined(text, IDS) == Joined(f"$OUTPUT[{'b.c' if 'b.c' in text else 'a'}].x", fixed)
    found = in_text((), text, IDS, items=False)
    assert found is not None
    assert found.fixed == fixed


@table(
    "text",
    [
        *("a.x", "a.x + b.c", "'a' + 'b'", "'n=' + other", "'n=' + a.x +", "it's + a.x", "a.x b"),
        *("'n=%s' % n", "'{}'.format(n)", "'100' % a", "x + 'a'", ""),
    ],
)
def test_other_texts_are_not(text: str) -> None:
    assert joined(text, IDS) is None


@table(
    "text",
    [
        *("n: f'{a.x}'", "f'n={a.x}' done", "`${a.x}`", "see `n=${a.x}`", "String.raw`${a.x}`"),
        *("'n=' + ${a.x}", '"n=${a.x}" + "s"', '$"n={a.x}"', "rf'{a.x}'", "{{a.x}} + 's'"),
    ],
)
def test_a_reference_in_a_literal_of_a_program_has_no_fix_that_keeps_the_literal(text: str) -> None:
    assert is_in_a_program(text)
    found = in_text((), text, IDS, items=False)
    assert found is not None
    assert found.fixed is None
    assert "one text" in found.advice


@table(
    "text",
    ["if {a.x}", "it's {a.x}", "`code` and {{a.x}}", "'{{a.x}}'", "Q & A: {a.x}", "1 + {a.x}"],
)
def test_quotes_and_signs_of_prose_leave_the_fix(text: str) -> None:
    found = in_text((), text, IDS, items=False)
    assert found is not None
    assert found.fixed is not None


@table(
    ("text", "fixed"),
    [("f'n=$OUTPUT[a].x'", "n=$OUTPUT[a].x"), ("f'n={n} $OUTPUT[a].x'", None)],
)
def test_a_literal_around_a_reference_of_ours_is_taken_off(text: str, fixed: str | None) -> None:
    found = in_text((), text, IDS, items=False)
    assert found is not None
    assert found.fixed == fixed


def test_long_texts_are_read_in_linear_time() -> None:
    def look(n: int) -> None:
        for text in ("'a' + " * n, "f'" * n, "`" * n, "'a'.format(" * n):
            joined(text, IDS)
            is_in_a_program(text)

    assert steps(lambda: look(300)) < 2.5 * steps(lambda: look(150)) + 300
