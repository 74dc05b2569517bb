"""The classes of failures, each with its exit status.

    LlmToolsError                  1  any other failure
    ├── RefusedError               1  the model refused
    │   └── FilteredError          1  a content filter withheld the answer
    ├── RoundLimitError            1  the tools reached their limit of rounds
    ├── UsageError                 2  wrong arguments
    ├── InputError                65  bad data on stdin or in a file
    ├── RequestError              65  the provider rejected the request
    │   └── ContextError          65  the conversation is too long for the model
    ├── NoInputError              66  the input is missing, or has no reply in it
    ├── UnavailableError          69  the provider cannot be reached or keeps failing
    ├── InternalError             70  a bug in llmtools
    ├── CreateError               73  an output file cannot be created
    ├── OutputError               74  reading or writing failed
    ├── TryLaterError             75  the same request may work later
    │   ├── RateLimitError        75
    │   ├── OverloadedError       75
    │   ├── TimedOutError         75
    │   ├── TruncatedError        75  the answer was cut off
    │   ├── PausedError           75  the model paused and did not continue
    │   └── CancelledError        75  a signal ended it
    ├── ProtocolError             76  the provider's answer breaks its protocol
    ├── KeyRefusedError           77  the provider refused the key
    │   └── QuotaError            77  the account has no credit left
    └── ConfigError               78  bad configuration
        ├── NoKeyError            78  the key was not found
        └── NoModelError          78  the model is not named, or not known

Each class has a `code` (the `code` of the `error` record it becomes) and an
`exit_status`. The numbers above 64 are those of sysexits(3).

A message names settings as its reader gives them (`setting_name`): a command's options, or arguments in Python.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NotRequired, TypedDict

    class ErrorRecord(TypedDict):
        """The end of a response, or of the command that wrote it."""

        type: Literal["error"]
        code: str
        message: str
        exit_status: int
        http_status: NotRequired[int]
        retryable: NotRequired[bool]
        retry_after: NotRequired[float]
        request_id: NotRequired[str]
        model: NotRequired[str]
        provider: NotRequired[str]
        server: NotRequired[str]
        stderr: NotRequired[str]


DETAILS = ("http_status", "retryable", "retry_after", "request_id", "model", "provider", "server")
"""The fields of an `error` record that LlmToolsError.details may hold."""

STATUSES = {
    0: "Success. An answer that stopped at a length limit is one, with a notice.",
    1: "The model refused or was filtered, the tools reached their limit of rounds, or another failure"
    " without a status of its own.",
    2: "Usage: wrong arguments.",
    65: "Bad input, or a request that the provider rejects.",
    66: "The input is missing, or has no reply in it.",
    69: "The provider is unavailable, after retries.",
    70: "A bug in llmtools.",
    73: "An output file cannot be created.",
    74: "Input or output failed.",
    75: "Try again later: rate limit, overload, timeout, cut off, cancelled, paused.",
    76: "The provider's answer breaks its protocol.",
    77: "The provider refused the key, or the quota is spent.",
    78: "The key or the model is missing or not known, or the configuration is bad.",
}
"""The exit statuses of all commands. A command that a signal ends dies of that signal."""


class LlmToolsError(Exception):
    """A failure: a message of one line, and an exit status.

    `details` are further fields of the `error` record: `http_status` (int), `retryable` (bool),
    `retry_after` (seconds), `request_id` (str), and who failed: `model`, `provider` and `server`
    (the origin of its URL).

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

    def full_message(self) -> str:
        """Return the failure as a line for people: the model, the HTTP status, the message, the request id."""
        model, status, request = (self.details.get(name) for name in ("model", "http_status", "request_id"))
        text = f"{model}: " if model else ""
        text += f"{status} {self.message}" if status else self.message
        return f"{text} (request {request})" if request else text

    def to_record(self) -> ErrorRecord:
        """Return the `error` record of this failure."""
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
    """Data that is not a stream. `line` counts from 1; `source` is the name of the input."""

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


_names_options = False


def name_options() -> None:
    """Let messages name the options of commands from now on, in the place of Python arguments."""
    global _names_options
    _names_options = True


def setting_name(option: str, argument: str) -> str:
    """Return how the user gives a setting: the option of a command, or the argument of a Python function."""
    return option if _names_options else argument


def error_classes() -> dict[str, type[LlmToolsError]]:
    """Return the classes of failures by their codes."""
    by_code: dict[str, type[LlmToolsError]] = {}
    rest: list[type[LlmToolsError]] = [LlmToolsError]
    while rest:
        cls = rest.pop()
        by_code[cls.code] = cls
        rest += cls.__subclasses__()
    return by_code


def from_record(record: ErrorRecord) -> LlmToolsError:
    """Return the exception of an `error` record: of the class of its code, with the exit status
    of the record."""
    cls = error_classes().get(record["code"], LlmToolsError)
    details = {name: value for name, value in record.items() if name in DETAILS}
    error = cls.__new__(cls)
    LlmToolsError.__init__(error, record["message"], code=record["code"], **details)
    error.exit_status = record.get("exit_status", cls.exit_status)
    return error
