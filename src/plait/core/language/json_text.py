"""Values that came as JSON text: some clients send text where an object or a list should stand."""

from __future__ import annotations

from ..values import near_json
from ..values.near_json import NearJson
from ..values.problems import MAX_FIX_CHARS, Fix, Op
from ..values.strict import DOCUMENT_DEPTH, Json, NotStrict, dumps


def read_text(text: str, path: str, depth: int = DOCUMENT_DEPTH) -> tuple[Json, list[str]]:
    """Decode *text*, which stands at *path*; also return notes of that and of what was corrected in
    it. Raises `NotStrict`."""
    value, slips = near_json.read(text, depth)
    return value, [f"{path} came as a JSON string; it was parsed", *corrections(path, slips)]


def corrections(path: str, slips: list[str]) -> list[str]:
    """Note the *slips* of the text at *path* that were corrected, if there are any."""
    return [f"{path}: {' and '.join(slips)} {'was' if len(slips) == 1 else 'were'} corrected"][
        : len(slips)
    ]


def flaw_of(error: NotStrict) -> str:
    """Say what text is that cannot be read: not JSON, or not strict JSON."""
    return str(error) if str(error).startswith("not ") else f"not strict JSON: {error}"


def fix_of(error: NotStrict) -> Fix | None:
    """Return the fix for text that is not JSON, where it is known what was meant."""
    if isinstance(error, NearJson) and len(dumps(error.meant)) <= MAX_FIX_CHARS:
        return Fix(Op.REPLACE, error.meant)
    return None
