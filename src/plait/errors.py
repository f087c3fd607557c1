"""Every error of Plait, as one tree. Each class has the code that clients see (`docs/dag.md`,
"Errors").

PlaitError
├── ConfigError             the settings cannot be used: names file, key and fix
├── InvalidDag              the document was refused: carries every problem, not the first
├── UnknownRun              no such run, or it is not kept any more
├── StaleApproval           a yes or no to a question that is not open any more
├── HistoryLost             a run cannot go on: not all of it was written in time
└── CallError               one task gave no output
    ├── ToolError           the server answered with `isError`
    ├── ProtocolError       the server answered with a JSON-RPC error
    ├── ConnectionLost      the server went away during the call: its effect is unknown
    ├── ServerUnavailable   the server could not be reached: the call was not sent
    │   ├── ServerOff       its settings lack a variable, or lead back here: it is never asked
    │   └── CircuitOpen     its last calls failed, so it is not called for a while
    ├── CallTimeout         no answer in time, or not sent in time
    ├── PolicyDenied        the operator denies the tool: the call was not sent
    ├── ToolChanged         the tool is not the one it was: the call was not sent
    ├── ApprovalDenied      a person said no: the call was not sent
    ├── ApprovalRequired    a person must say yes first: the call was not sent
    ├── FlowDenied          it was given what may not flow to its tool: it was not sent
    ├── ReferenceFailed     a reference names what is not in the output
    ├── InvalidArguments    the resolved arguments do not fit the tool: the call was not sent
    ├── InvalidOutput       the answer breaks the tool's own output schema, or cannot be read
    ├── OutputTooLarge      the answer, or what a run keeps, is above its limit
    ├── LimitExceeded       the run would make more calls than its limit
    ├── ExpressionFailed    `select`, `when` or `for_each` could not be applied to the value
    ├── InDoubt             an earlier run may have sent it, and did not live to see the answer
    ├── CallCancelled       an earlier run cancelled it: it may have taken effect
    ├── HistoryUnavailable  its start, which has to survive, could not be written: it was not sent
    └── InternalError       our fault: the message has an id to find it in the log

`RpcError` stands apart: an error that a server or a client sent, on its way to the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .core.values.problems import Problem
    from .core.values.strict import Json


class PlaitError(Exception):
    """Base of every error raised on purpose."""

    code: ClassVar[str] = "internal"


class ConfigError(PlaitError):
    """The settings cannot be used. The message names the file, the key and the fix."""

    code = "invalid_config"


class InvalidDag(PlaitError):
    """The document was refused and nothing ran; `problems` has everything that is wrong with it."""

    code = "invalid"

    def __init__(self, problems: Sequence[Problem], notes: Sequence[str] = ()) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.notes = tuple(notes)


class UnknownRun(PlaitError):
    """No run has that id, or it is not kept any more."""

    code = "unknown_run"


class HistoryLost(PlaitError):
    """A run cannot go on: not all that it did was written in time, its values were not kept, or one
    of them is damaged."""

    code = "history_lost"


class StaleApproval(PlaitError):
    """A yes or no to a question that is not open any more."""

    code = "stale_approval"
    goes_on_as: str | None = None
    """The run that goes on from the one that was asked about, and asks for something else."""


class RpcError(Exception):
    """A JSON-RPC error as one side sent it, to be passed to the other unchanged."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class CallError(PlaitError):
    """One call gave no output.

    `hint` says what to do about it. `retryable` says whether the same call may succeed later;
    `rpc_code` is the server's own JSON-RPC code, where it gave one, and `retry_after_s` the seconds
    to wait, where they are known. `rpc_error` is the error for a client that called the tool by its
    name, as the server or the client itself worded it; None for the errors of ours.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        rpc_code: int | None = None,
        retry_after_s: float | None = None,
        rpc_error: RpcError | None = None,
    ) -> None:
        message = message.encode(
            "utf-8", "replace"
        ).decode()  # a server's words may hold lone surrogates
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.rpc_code = rpc_code
        self.retry_after_s = retry_after_s
        self.rpc_error = rpc_error

    def reword(self, change: Callable[[str], str]) -> None:
        """Replace the message and the hint by what *change* makes of them."""
        self.message = change(self.message)
        self.args = (self.message,)
        self.hint = None if self.hint is None else change(self.hint)


class ToolError(CallError):
    code = "tool_error"


class ProtocolError(CallError):
    code = "protocol_error"


class ConnectionLost(CallError):
    code = "connection_lost"
    retryable = True


class ServerUnavailable(CallError):
    code = "server_unavailable"
    retryable = True


class ServerOff(ServerUnavailable):
    """The server is off: its settings name a variable that is not set, or lead to this gateway.
    That stays so until the settings change."""

    retryable = False


class CircuitOpen(ServerUnavailable):
    """The last calls of the server failed, so this one was refused; `retry_after_s` says for how
    long."""


class CallTimeout(CallError):
    """No answer came in time; without `was_sent`, the call waited until then and was not sent."""

    code = "timeout"
    retryable = True

    def __init__(self, message: str, *, hint: str | None = None, was_sent: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.was_sent = was_sent


class PolicyDenied(CallError):
    """The operator's policy denies the tool; `denied_by` is the pattern that does."""

    code = "policy_denied"

    def __init__(self, message: str, *, denied_by: str) -> None:
        super().__init__(message, hint="Use another tool, or ask the operator.")
        self.denied_by = denied_by


class ApprovalDenied(CallError):
    """A person said no: the call was not sent."""

    code = "approval_denied"


class ApprovalRequired(CallError):
    """The policy wants a person's yes, and there is none: the call was not sent."""

    code = "approval_required"


class ToolChanged(CallError):
    """The tool is described otherwise than before: the call was not sent."""

    code = "tool_changed"


class FlowDenied(CallError):
    """The call is given data that the operator's rules for flows keep from its tool: it was not
    sent."""

    code = "flow_denied"


class ReferenceFailed(CallError):
    code = "reference_error"


class InvalidArguments(CallError):
    code = "invalid_arguments"


class InvalidOutput(CallError):
    """The answer breaks the tool's own output schema; `output` keeps it for `get_run`."""

    code = "invalid_output"

    def __init__(self, message: str, *, hint: str | None = None, output: Json = None) -> None:
        super().__init__(message, hint=hint)
        self.output = output


class OutputTooLarge(CallError):
    code = "output_too_large"


class LimitExceeded(CallError):
    code = "limit_exceeded"


class ExpressionFailed(CallError):
    code = "invalid_expression"


class InDoubt(CallError):
    """The call may have been sent by an earlier run, which did not live to see its answer; it was
    not sent again."""

    code = "in_doubt"


class HistoryUnavailable(CallError):
    """The call was not sent: its start could not be written, which it has to survive."""

    code = "history_unavailable"


class InternalError(CallError):
    code = "internal"


class CallCancelled(CallError):
    """A call that a run before this one cancelled: it may have taken effect, and is not sent
    again."""

    code = "cancelled"


def error_class(code: str) -> type[CallError]:
    """Return the class of the errors of a call with *code*; `CallError` if there is none."""
    return next((kind for kind in CallError.__subclasses__() if kind.code == code), CallError)
