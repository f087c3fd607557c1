"""Slips: what people write who know another language, and what it is here.

Each rule looks at the loose tokens of a text that was refused. It finds a sign or a word that no
expression has at that place, and gives the edit where only one thing can be meant. One slip is
reported at a time: the fixed text is read again (`fixes.py`).
"""

from __future__ import annotations

from .arithmetic_slips import ARITHMETIC_RULES
from .call_slips import CALL_RULES
from .loose import Loose
from .operator_slips import OPERATOR_RULES
from .path_slips import PATH_RULES
from .problems import Finding

_RULES = {
    kind: (
        *OPERATOR_RULES.get(kind, ()),
        *PATH_RULES.get(kind, ()),
        *ARITHMETIC_RULES.get(kind, ()),
        *CALL_RULES.get(kind, ()),
    )
    for kind in OPERATOR_RULES | PATH_RULES | ARITHMETIC_RULES | CALL_RULES
}


def find_slip(text: str) -> Finding | None:
    """Return the first slip in *text*, which was refused."""
    loose = Loose(text)
    if not loose.is_closed:
        return None
    for at in range(len(loose.tokens)):
        for rule in _RULES.get(loose.kind(at), ()):
            if (found := rule(loose, at)) is not None:
                return found
    return None
