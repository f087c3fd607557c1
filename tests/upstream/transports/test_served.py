"""The hello of a door, as it arrives."""

from __future__ import annotations

from pathlib import Path

from plait.door.frames import record
from plait.upstream.transports.served import Hello


def test_a_hello_is_read_with_its_arguments_and_variables():
    fields = [
        ("hello", "1"), ("version", "1.2"), ("door", "d"), ("folder", "/home/x"),
        ("arg", "--config"), ("arg", "a=b.toml"), ("env", "PLAIT_CONFIG=x=y"), ("isolated", "1"),
    ]  # fmt: skip
    hello = Hello.read(record(fields))
    assert hello.is_understood
    assert hello.is_isolated
    assert (hello.version, hello.door, hello.folder) == ("1.2", "d", Path("/home/x"))
    assert hello.arguments == ("--config", "a=b.toml")
    assert hello.environ == {"PLAIT_CONFIG": "x=y"}


def test_a_hello_of_another_protocol_is_not_understood():
    assert not Hello.read(b"hello=2").is_understood
    assert not Hello.read(b"").is_understood
