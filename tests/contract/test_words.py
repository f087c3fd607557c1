"""Section 1 of the contract: its words. One test for each that promises something, in their
order."""

from __future__ import annotations

import base64
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from plait.config import Config
from plait.core.values.principal import ANYONE, Principal
from plait.engine.gateway import Gateway
from plait.errors import InvalidDag, UnknownRun

from ..fakes import FakeCaller
from .conftest import House, task

pytestmark = pytest.mark.virtual_time


async def test_a_tool_is_named_by_its_server_and_itself_split_at_the_first_colon(
    house: House,
) -> None:
    house.servers.add("s:a:b", lambda: {"called": "a:b"})
    assert (await house.run(task("t", "s:a:b"))).outputs == {"t": {"called": "a:b"}}


@pytest.mark.parametrize("name", ["a", "0", "git-hub_2", "a" * 32])
def test_a_servers_name_is_up_to_32_small_letters_digits_dashes_and_underscores(name: str) -> None:
    assert [*Config.model_validate({"servers": {name: {"command": "x"}}}).servers] == [name]


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a b", "a:b", "é", "a" * 33])
def test_any_other_name_of_a_server_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"servers": {name: {"command": "x"}}})


async def test_a_layer_is_the_tasks_whose_longest_chain_has_the_same_length(house: House) -> None:
    result = await house.run(
        task("far", x="$OUTPUT[near]", y="$OUTPUT[first]"),
        task("first"),
        task("near", x="$OUTPUT[first]"),
        task("alone"),
        detail="full",
    )
    assert result.layers == (("first", "alone"), ("near",), ("far",))
    assert [one.layer for one in result.tasks] == [2, 0, 1, 0]


async def test_a_run_id_is_r_and_128_random_bits_in_base32(house: House) -> None:
    async with house.gateway() as gateway:
        ids = {(await gateway.execute({"tasks": [task("a")]})).run_id for _ in range(20)}
    assert len(ids) == 20
    for id in ids:
        prefix, _, bits = id.partition("_")
        assert prefix == "r"
        assert len(base64.b32decode(bits.upper() + "=" * (-len(bits) % 8))) == 16


@pytest.mark.parametrize(
    "verb", ["wait", "follow", "result", "record", "cancel", "output", "resume"]
)
@pytest.mark.parametrize("is_over", [False, True], ids=["active", "over"])
async def test_a_foreign_run_does_not_exist_and_no_id_of_others_is_named(
    house: House, verb: str, is_over: bool
) -> None:
    """There is one error for "not there" and "not yours"."""
    owner, other = FakeCaller(), FakeCaller()
    owner.principal, other.principal = Principal("owner"), Principal("other")
    async with house.gateway() as gateway:
        seconds = 0 if is_over else 99
        run = await gateway.submit({"tasks": [task("a", "s:sleep", seconds=seconds)]}, owner)
        await anyio.sleep(1)
        foreign, missing = [
            await _refused(gateway, verb, run_id, other) for run_id in (run.run_id, "r_nowhere")
        ]
        assert gateway.is_done(run.run_id, owner.principal) is is_over
        assert gateway.runs(other.principal) == []
    assert foreign == missing
    assert run.run_id not in foreign


async def _refused(gateway: Gateway, verb: str, run_id: str, caller: FakeCaller) -> str:
    """Return the words of the refusal of *verb*."""
    principal = caller.principal
    try:
        match verb:
            case "follow":
                async for _ in gateway.follow(run_id, principal):
                    raise AssertionError
            case "output":
                gateway.output(run_id, "a", principal)
            case "result" | "record":
                getattr(gateway, verb)(run_id, principal)
            case "resume":
                await gateway.execute({"tasks": [], "resume_from": run_id}, caller)
            case _:
                await getattr(gateway, verb)(run_id, principal=principal)
    except (UnknownRun, InvalidDag) as error:
        return str(error)
    raise AssertionError


async def test_the_run_of_a_client_without_a_session_is_whoevers_knows_its_id(house: House) -> None:
    owner = FakeCaller()
    owner.principal = ANYONE
    async with house.gateway() as gateway:
        run = await gateway.submit({"tasks": [task("a", x=1)]}, owner)
        result: Any = await gateway.wait(run.run_id, principal=ANYONE)
        assert gateway.runs(ANYONE) == []
    assert result.outputs == {"a": {"x": 1}}
