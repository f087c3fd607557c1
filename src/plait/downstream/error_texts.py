"""Texts of servers that say what went wrong, made safe for whoever reads them: a model, a person, a
log.

Secrets are masked, and whatever steers a terminal or turns the direction of text is dropped. Any
other result passes unchanged, for it is data.
"""

from __future__ import annotations

from ..core.values.printable import plain
from ..core.values.strict import Json, JsonObject, NotStrict, measure
from ..errors import CallError, RpcError
from ..redaction import Secrets

MOST_DETAILS_BYTES = 64 * 1024
"""Longer details of an error are left out: they could not be searched in time."""


class ErrorTexts:
    """Cleans the error texts of one server, of *secrets* as well."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"<ErrorTexts {self._secrets}>"

    def clean(self, text: str) -> str:
        return plain(self._secrets.redact(text))

    def clean_error(self, error: CallError) -> None:
        """Clean the texts of *error* in place."""
        error.reword(self.clean)
        if error.rpc_error is not None:
            error.rpc_error = self.cleaned_rpc(error.rpc_error)

    def cleaned_rpc(self, error: RpcError) -> RpcError:
        """Return *error* of the server, clean, and without details too long to search."""
        try:
            is_short = measure(error.data) <= MOST_DETAILS_BYTES
        except NotStrict:
            is_short = False
        data = self._secrets.redact_all(error.data) if is_short else None
        return RpcError(error.code, self.clean(error.message), data)

    def cleaned_result(self, result: JsonObject) -> JsonObject:
        """Return the result of a tool: if it says that the tool failed, with clean texts."""
        if result.get("isError") is not True:
            return result
        cleaned = dict(result)
        if isinstance(content := result.get("content"), list):
            cleaned["content"] = [self._block(block) for block in content]
        if "structuredContent" in result:
            cleaned["structuredContent"] = self._secrets.redact_all(result["structuredContent"])
        return cleaned

    def _block(self, block: Json) -> Json:
        if isinstance(block, dict) and isinstance(text := block.get("text"), str):
            return {**block, "text": self.clean(text)}
        return block
