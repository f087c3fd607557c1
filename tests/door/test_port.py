"""The order of a port, as it is sent."""

from __future__ import annotations

import pytest

from plait.door.port import PortOrder, read_port_order


@pytest.mark.parametrize(
    "order",
    [
        PortOrder("127.0.0.1", 0, None),
        PortOrder("::1", 8420, "a=b", ("h.example:1", "i.example"), ("https://o.example",)),
    ],
)
def test_an_order_arrives_as_it_was_sent(order: PortOrder):
    assert read_port_order(order.written()) == order


@pytest.mark.parametrize("sent", [b"", b"host=h\0port=x"])
def test_what_is_no_order_is_an_error(sent: bytes):
    with pytest.raises((LookupError, ValueError)):
        read_port_order(sent)
