"""What can go wrong, and the exit status that says so.

    LlmToolsError                  1  a failure no other status names
    ├── RefusedError               1  the model refused
    │   └── FilteredError          1  a content filter took the answer
    ├── RoundLimitError            1  a tool loop used up its rounds
    ├── UsageError                 2  wrong arguments
    ├── InputError                65  bad data on stdin or in a file
    ├── RequestError              65  the provider calls the request wrong
    │   └── ContextError          65  the conversation is too long for the model
    ├── NoInputError              66  no input, or no reply in it
    ├── UnavailableError          69  the provider cannot be reached or keeps failing
    ├── InternalError             70  a bug of ours
    ├── CreateError               73  an output file cannot be created
    ├── OutputError               74  reading or writing failed
    ├── TryLaterError             75  the same request may work later
    │   ├── RateLimitError        75
    │   ├── OverloadedError       75
    │   ├── TimedOutError         75
    │   ├── TruncatedError        75  the answer was cut off
    │   ├── PausedError           75  the provider paused and did not go on
    │   └── CancelledError        75  a signal ended it
    ├── ProtocolError             76  the provider broke its protocol
    ├── KeyRefusedError           77  the key was refused
    │   └── QuotaError            77  the account has nothing left to spend
    └── ConfigError               78  bad configuration
        ├── NoKeyError            78  no key was found
        └── NoModelError          78  no model was named, or none has that name

Each class has a `code` (the `code` of the `error` record it becomes) and an
`exit_status`. The numbers above 64 are those of sysexits(3).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NotRequired, TypedDict

    class ErrorRecord(TypedDict):
        """Always fatal: for the response it stands in, or for the command that wrote it."""

        type: Literal["error"]
        code: str
        message: str
        exit_status: int
        http_status: NotRequired[int]
        retryable: NotRequired[bool]
        retry_after: NotRequired[float]
        request_id: NotRequired[str]


STATUSES = {
    0: "Done. Also when the answer stopped at a length limit, with a notice.",
    1: "The model refused or was filtered, a round limit was reached, or a failure no other status names.",
    2: "Usage: wrong arguments.",
    65: "Bad input, or a request that the provider calls wrong.",
    66: "No input, or no reply in it.",
    69: "The provider is unavailable, after retries.",
    70: "A bug in llmtools.",
    73: "An output file cannot be created.",
    74: "Input or output failed.",
    75: "Try again later: rate limit, overload, timeout, cut off, cancelled, paused.",
    76: "The provider broke its protocol.",
    77: "The key was refused, or the quota is spent.",
    78: "No key, no such model, or bad configuration.",
}
"""Every exit status of every command; death by a signal is by the signal itself."""


class LlmToolsError(Exception):
    """A failure with one line for people and an exit status for programs.

    `details` are further fields of the `error` record: `http_status` (int),
    `retryable` (bool), `retry_after` (seconds), `request_id` (str).

        try:
            llmtools.get_model("echo").prompt('{"error": {"code": "overloaded"}}').text()
        except llmtools.LlmToolsError as error:
            print(error.message, error.exit_status)
    """

    code: str = "failed"
    exit_status: int = 1

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message: str = message
        if code is not None:
            self.code = code
        self.details: dict[str, Any] = {name: value for name, value in details.items() if value is not None}

    def to_record(self) -> ErrorRecord:
        """Return this failure as the `error` record that stands for it in a stream."""
        record: ErrorRecord = {
            "type": "error",
            "code": self.code,
            "message": self.message,
            "exit_status": self.exit_status,
        }
        record.update(self.details)  # type: ignore[typeddict-item]
        return record


class RefusedError(LlmToolsError):
    code = "refused"


class FilteredError(RefusedError):
    code = "content_filter"


class RoundLimitError(LlmToolsError):
    code = "round_limit"


class UsageError(LlmToolsError):
    code = "usage"
    exit_status = 2


class InputError(LlmToolsError):
    """Data that is no stream: `line` counts from 1, `source` names where it stands."""

    code = "input"
    exit_status = 65

    def __init__(self, message: str, *, line: int | None = None, source: str = "stdin") -> None:
        super().__init__(f"{source} line {line}: {message}" if line else message)
        self.line = line


class RequestError(LlmToolsError):
    code = "bad_request"
    exit_status = 65


class ContextError(RequestError):
    code = "context_too_long"


class NoInputError(LlmToolsError):
    code = "no_input"
    exit_status = 66


class UnavailableError(LlmToolsError):
    code = "unavailable"
    exit_status = 69


class InternalError(LlmToolsError):
    code = "internal"
    exit_status = 70


class CreateError(LlmToolsError):
    code = "cannot_create"
    exit_status = 73


class OutputError(LlmToolsError):
    code = "io"
    exit_status = 74


class TryLaterError(LlmToolsError):
    code = "try_later"
    exit_status = 75


class RateLimitError(TryLaterError):
    code = "rate_limited"


class OverloadedError(TryLaterError):
    code = "overloaded"


class TimedOutError(TryLaterError):
    code = "timeout"


class TruncatedError(TryLaterError):
    code = "truncated"


class PausedError(TryLaterError):
    code = "paused"


class CancelledError(TryLaterError):
    code = "cancelled"


class ProtocolError(LlmToolsError):
    code = "protocol"
    exit_status = 76


class KeyRefusedError(LlmToolsError):
    code = "key_refused"
    exit_status = 77


class QuotaError(KeyRefusedError):
    code = "quota"


class ConfigError(LlmToolsError):
    code = "config"
    exit_status = 78


class NoKeyError(ConfigError):
    code = "no_key"


class NoModelError(ConfigError):
    code = "no_model"


def classes() -> dict[str, type[LlmToolsError]]:
    """Return every class of the tree by its code."""
    found: dict[str, type[LlmToolsError]] = {}
    rest: list[type[LlmToolsError]] = [LlmToolsError]
    while rest:
        cls = rest.pop()
        found[cls.code] = cls
        rest += cls.__subclasses__()
    return found


def from_record(record: ErrorRecord) -> LlmToolsError:
    """Return the exception that an `error` record stands for: the class of its code,
    with the record's own exit status."""
    cls = classes().get(record["code"], LlmToolsError)
    details = {k: v for k, v in record.items() if k in ("http_status", "retryable", "retry_after", "request_id")}
    error = cls.__new__(cls)
    LlmToolsError.__init__(error, record["message"], code=record["code"], **details)
    error.exit_status = record.get("exit_status", cls.exit_status)
    return error
