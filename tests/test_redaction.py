"""No secret comes out of a text, whichever way it is written there; what is none stays as it is."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from functools import reduce
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.redaction import LEAST_CHARS, MARK, MOST_CHARS, Secrets

from .profiles import CHARACTERS

Encode = Callable[[str], str]

ENCODINGS: dict[str, Encode] = {
    "as it is": str,
    "percent-encoding": lambda text: quote(text, safe="", errors="surrogatepass"),
    "percent-encoding of a path": lambda text: quote(text, errors="surrogatepass"),
    "form": lambda text: quote_plus(text, errors="surrogatepass"),
    "base64": lambda text: base64.b64encode(octets(text)).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(octets(text)).decode(),
    "hex": lambda text: octets(text).hex(),
    "JSON": json.dumps,
    "JSON with all characters": lambda text: json.dumps(text, ensure_ascii=False),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda text: repr(octets(text)),
    "escapes": lambda text: text.encode("unicode_escape").decode(),
    "repr of an exception": lambda text: repr(ValueError(text)),
}


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


words = st.text(CHARACTERS, max_size=20)
secrets = st.text(CHARACTERS, min_size=LEAST_CHARS, max_size=40).filter(
    lambda text: not text.isspace()
)
encodings = st.sampled_from([*ENCODINGS.values()])
escapings = st.sampled_from(
    [encode for name, encode in ENCODINGS.items() if name not in {"base64", "base64url", "hex"}]
)


@given(before=words, secret=secrets, after=words, encode=encodings)
def test_no_secret_comes_out_whichever_way_it_is_encoded(
    before: str, secret: str, after: str, encode: Encode
):
    redacted = Secrets([secret]).redact(encode(before + secret + after))
    assert MARK in redacted
    assert secret not in redacted
    assert encode(secret) not in redacted


@given(
    st.text(st.characters(max_codepoint=127), min_size=LEAST_CHARS).filter(str.strip),
    st.lists(escapings, max_size=3),
)
def test_no_secret_comes_out_of_what_quotes_what_quotes_it(secret: str, escapings: list[Encode]):
    assert MARK in Secrets([secret]).redact(
        reduce(lambda text, encode: encode(text), escapings, secret)
    )


@given(
    many=st.lists(secrets, min_size=1, max_size=5), text=st.lists(st.integers(0, 4)), between=words
)
def test_secrets_that_overlap_all_go(many: list[str], text: list[int], between: str):
    redacted = Secrets(many).redact(between.join(many[index % len(many)] for index in text))
    assert [secret for secret in many if secret in redacted] == []


@given(secret=secrets.filter(lambda text: len(text) > LEAST_CHARS), before=words, data=st.data())
def test_the_beginning_of_a_secret_at_the_end_of_a_text_that_was_cut_goes_too(
    secret: str, before: str, data: st.DataObject
):
    length = data.draw(st.integers(LEAST_CHARS - 1, len(secret) - 1))
    assert Secrets([secret]).redact(before + secret[:length]).endswith(MARK)


@given(st.text(alphabet="abc \\%+{}\"'\n", max_size=200))
def test_a_text_without_secrets_stays_as_it_is(text: str):
    assert Secrets(["S3CRET-VALUE", "ANOTHER\nONE\\WITH%20ALL"]).redact(text) == text


@pytest.mark.parametrize(
    ("secret", "text", "redacted"),
    [
        ("Bearer s3cr3t-key", "Authorization: Bearer s3cr3t-key!", "Authorization: Bearer ***!"),
        (
            "Bearer s3cr3t",
            "Illegal header value b'Bearer s3cr3t\\n'",
            "Illegal header value b'***\\n'",
        ),
        ("first-line\nsecond-line", "got first-line, then second-line", "got ***, then ***"),
        ("first-line\nsecond-line", "got b'first-line\\nsecond-line'", "got b'***'"),
        (" padded-key ", "key: padded-key.", "key: ***."),
        ("Basic YWRhOmxvdmVsYWNl", "wrong: ada:lovelace", "wrong: ***"),
        ("Basic YWRhOmxvdmVsYWNl", "lovelace is wrong", "*** is wrong"),
        ("caf\u00e9-au-lait", "b'caf\\xc3\\xa9-au-lait'", "b'***'"),
        ("caf\u00e9-au-lait", '"caf\\u00e9-au-lait"', '"***"'),
        ("smile\U0001f600smile", '"smile\\ud83d\\ude00smile"', '"***"'),
        ("s3cr3t/key+", "?key=s3cr3t%2Fkey%2B&x=1", "?key=***&x=1"),
        ("s3cr3t/key+", json.dumps(json.dumps('"s3cr3t/key+"')), '"\\"\\\\\\"***\\\\\\"\\""'),
        ("s3cr3tkey", "user=" + base64.b64encode(b"ada:s3cr3tkey").decode(), "user=YWRhOn***Q=="),
        ("short", "too short to be found", "too short to be found"),
        ("        ", "a        b", "a        b"),
    ],
)
def test_what_is_left_of_a_text(secret: str, text: str, redacted: str):
    assert Secrets([secret]).redact(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Authorization: Bearer eyJhbGciOi.J9-x_1~a+/==.", "Authorization: Bearer ***."),
        ("header 'bearer ghp_0123456789abcdef'", "header 'bearer ***'"),
        ("Bearer authentication is required", "Bearer authentication is required"),
        ("Bearer realm=none1", "Bearer realm=none1"),
        ("Bearer short1", "Bearer short1"),
    ],
)
def test_a_bearer_token_that_nobody_configured_goes_too(text: str, redacted: str):
    assert Secrets().redact(text) == redacted
    assert Secrets(["another-secret"]).redact_all([text]) == [redacted]


def test_values_inside_of_values_are_redacted_too():
    secrets = Secrets(["s3cr3t-key"])
    found = secrets.redact_all(
        {"a": ["x s3cr3t-key", 1, None], "s3cr3t-key": ("s3cr3t-key", b"s3cr3t-key", b"x", 2.5)}
    )
    assert found == {"a": ["x ***", 1, None], "***": ["***", "b'***'", b"x", 2.5]}


def test_what_is_added_later_is_redacted_from_then_on_and_what_was_stays_so():
    secrets, other = Secrets(["first-secret"]), Secrets(["third-secret"])
    text = "first-secret second-secret third-secret"
    assert secrets.redact(text) == "*** second-secret third-secret"
    secrets.add(["second-secret"])
    secrets.take_in(other)
    assert secrets.redact(text) == "*** *** ***"
    assert repr(secrets) == "<Secrets: 3 values>"


@pytest.mark.parametrize("unit", ["\\", "\\\\u005c", "%25", "%5C+", "a", "s3cr3t-ke"])
def test_no_text_takes_long(unit: str):
    secrets = Secrets(f"s3cr3t-key-{number}" + "\\" * number for number in range(20))
    began = time.process_time()
    assert len(secrets.redact(unit * 2**20)) < MOST_CHARS + 100
    assert time.process_time() - began < 2
