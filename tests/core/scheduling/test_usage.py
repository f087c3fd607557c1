"""The limits of one run as a whole: where they begin, and what a refusal leaves behind."""

import pytest

from plait.core.scheduling.events import RunLimits
from plait.core.scheduling.usage import Usage
from plait.core.tools.output import Output
from plait.errors import LimitExceeded, OutputTooLarge


def usage() -> Usage:
    return Usage(RunLimits(None, max_items=10, max_bytes=100, max_calls=4))


def test_outputs_are_kept_up_to_the_last_byte_of_memory():
    used = usage()
    used.keep(Output("x", size_bytes=60, overhead_bytes=10))
    used.keep(Output("x", size_bytes=30))
    assert used.bytes == 100
    with pytest.raises(OutputTooLarge, match="would take more than 100 bytes of memory"):
        used.keep(Output(1, size_bytes=1))
    assert used.bytes == 100, "what is not kept does not count"


def test_calls_count_up_to_the_last_one():
    used = usage()
    used.add_calls(3)
    with pytest.raises(
        LimitExceeded, match="it has 2 calls or values, and this run has made 3 of at most 4"
    ):
        used.add_calls(2)
    used.add_calls(1)
    assert used.calls == 4
