"""`plait history RUN --verify`: a run and those of its chain, made again from the history."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..core.values.strict import Json, JsonObject, present
from ..errors import ConfigError
from .exits import Exit
from .history import find_entry, learn_secrets
from .style import Line, Look, Styled, counted

if TYPE_CHECKING:
    from ..core.history_store import History
    from .session import Session


async def verify_run(history: History, session: Session, word: str) -> int:
    """Verify the run that *word* names and the others of its chain, and show what was found."""
    from ..core.replay import Differs
    from ..engine.verifying import NotVerifiable, Verifying
    from ..stores.in_memory import InMemoryRuns

    out, secrets = session.console.out, session.secrets
    verifying = Verifying(history, InMemoryRuns())
    entry = await find_entry(history, word)
    found: list[Json] = []
    is_well = True
    with suppress(ConfigError):  # they may have changed since, or be gone
        learn_secrets(entry.desk, secrets)
    for id in await history.links(entry.id):
        try:
            verified = await verifying.verify(id)
        except Differs as error:
            member = present(verified=False, difference=secrets.redact(str(error)))
        except NotVerifiable as error:
            member = present(verified=False, reason=str(error))
        else:
            member = present(
                verified=True,
                events=verified.events,
                calls=verified.calls,
                ended=verified.is_whole,
            )
        is_well = is_well and member["verified"] is True
        found.append({"run_id": id, **member})
        if not session.as_json:
            out.line(*_line(id, member))
    if session.as_json:
        out.json({"verified": is_well, "runs": found})
    return Exit.SUCCESS if is_well else Exit.TASK_FAILED


def _line(id: str, member: JsonObject) -> Line:
    match member:
        case {"difference": str(difference)}:
            return (Styled("✗", Look.RED), " ", Styled(id, Look.BOLD), f"  differs: {difference}")
        case {"reason": str(reason)}:
            return (
                Styled("·", Look.YELLOW),
                " ",
                Styled(id, Look.BOLD),
                f"  not verified: {reason}",
            )
    events, calls = member["events"], member["calls"]
    assert isinstance(events, int)
    assert isinstance(calls, int)
    so_far = "" if member["ended"] else " so far"
    give = "gives" if events == 1 else "give"
    return (
        Styled("✓", Look.GREEN),
        " ",
        Styled(id, Look.BOLD),
        f"  verified{so_far}: {counted(events, 'event')} {give} the same {counted(calls, 'call')}",
    )
