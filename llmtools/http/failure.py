"""Error responses to exceptions: from a status, headers and a body.

Rules:
* The message is the vendor's own: the first of error.message, error as a string, message,
  detail. If a router only says that its provider failed, the provider's message follows.
* The vendor's code or type decides before the status: an empty account is not a rate limit, a
  long context is not a wrong request. The status decides if no code or type is known.
* Nothing here belongs to one protocol: the error bodies of all vendors are read alike.
* A delay is in seconds, from now. A value that makes no sense (negative, NaN, a date in the past)
  is ignored. Google names it in the error's body (RetryInfo), the others in a header, which wins.
"""

from __future__ import annotations

import re

from .. import errors
from ..errors import InputError
from ..records.jsonl import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..errors import LlmToolsError

RETRIED = frozenset((408, 409, 425, 429))
"""The statuses below 500 after which the same request may work."""

MESSAGE_LIMIT = 2000
"""The most characters of a vendor's message that are kept."""

REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "mistral-correlation-id",
    "x-ds-trace-id",
    "x-generation-id",
    "x-goog-request-id",
)
"""The headers that identify a request, the most usual first."""

_CODES: tuple[tuple[str, type[LlmToolsError]], ...] = (
    (r"content_?filter|content_policy|responsibleaipolicy", errors.FilteredError),
    (
        r"insufficient_(quota|balance|credits|funds)|billing|quota_exceeded|no_credits|spend_limit_reached",
        errors.QuotaError,
    ),
    (r"context_length|exceed_context_size|too_many_prompt_tokens|context_window", errors.ContextError),
    (r"model_not_found|deploymentnotfound|unknown_model|invalid_model|model_not_exist", errors.NoModelError),
    (r"invalid_api_key|authentication|unauthori[sz]ed|permission_denied|api_key_invalid", errors.KeyRefusedError),
    (r"overloaded|engine_overloaded|insufficient_system_resource", errors.OverloadedError),
    (r"rate_?limit|too_many_requests|resource_exhausted", errors.RateLimitError),
    (r"timeout|timed_out|deadline_exceeded", errors.TimedOutError),
    (r"server_?error|internal_?error|internalserver|api_error|unavailable|engine_?error", errors.UnavailableError),
    (r"invalid_request|invalid_argument|invalid_value|tool_use_failed|bad_?request|validation", errors.RequestError),
)
_CODE_PATTERNS = [(re.compile(pattern), cls) for pattern, cls in _CODES]

# Failures that only the message describes, and the statuses with which it was seen.
_PHRASES: tuple[tuple[str, frozenset[int], type[LlmToolsError]], ...] = (
    (
        r"context (length|size|window)|maximum context|max context|prompt (is )?too long|too many tokens"
        r"|total length of all messages|input is too long|reduce the length of the messages",
        frozenset((0, 400, 413, 422, 500)),
        errors.ContextError,
    ),
    (r"(incorrect|invalid) api.?key|api.?key (is )?not valid", frozenset((0, 400)), errors.KeyRefusedError),
    (
        r"\bmodels?\b.{0,80}\b(not exist|not found|n't exist)|not a valid model|(unknown|invalid|no such) model\b",
        frozenset((0, 400, 404)),
        errors.NoModelError,
    ),
    (r"any credits|(insufficient|not enough|no) (credits?|balance|funds)", frozenset((0, 403, 429)), errors.QuotaError),
    (r"overloaded", frozenset((0, 500, 502, 503)), errors.OverloadedError),
)
_MESSAGE_PATTERNS = [(re.compile(pattern, re.IGNORECASE), statuses, cls) for pattern, statuses, cls in _PHRASES]

_STATUS_CLASSES: dict[int, type[LlmToolsError]] = {
    401: errors.KeyRefusedError,
    402: errors.QuotaError,
    403: errors.KeyRefusedError,
    404: errors.ConfigError,
    408: errors.TimedOutError,
    409: errors.TryLaterError,
    425: errors.TryLaterError,
    429: errors.RateLimitError,
    504: errors.TimedOutError,
    529: errors.OverloadedError,
}


_DEEPEST = 6


def error_message(body: Any, depth: int = 0) -> str | None:
    """Return the message in the JSON value of an error body, None if there is none."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, str):
        return body.strip() or None
    if not isinstance(body, dict) or depth > _DEEPEST:
        return None
    message = None
    for name in ("error", "message", "detail", "error_message", "msg"):
        message = message or error_message(body.get(name), depth + 1)
    metadata = body.get("metadata")
    if message and isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        return f"{message}: {metadata['raw']}"
    return message


def _codes_of(body: Any, depth: int = 0) -> str:
    """Return the codes and types in an error body, in lower case, with spaces between them."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict) or depth > _DEEPEST:
        return ""
    values = [body.get(name) for name in ("code", "error_code", "type", "status")]
    codes = " ".join([value.lower() for value in values if isinstance(value, str)])
    inner = [_codes_of(body.get(name), depth + 1) for name in ("error", "innererror", "details")]
    return " ".join([text for text in [codes, *inner] if text])


def status_of(body: Any, depth: int = 0) -> int | None:
    """Return the HTTP status in an error body, None if there is none."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict) or depth > _DEEPEST:
        return None
    for name in ("status_code", "raw_status_code", "code", "status"):
        value = body.get(name)
        if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value):
            value = int(value)
        if type(value) is int and 400 <= value < 600:
            return value
    return status_of(body.get("error"), depth + 1)


_DELAY = re.compile(r"(\d{1,9}(?:\.\d+)?)s")


def delay_in(body: Any) -> float | None:
    """Return the seconds that an error body asks to wait, None if it does not:
    https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto (RetryInfo)"""
    holder = body[0] if isinstance(body, list) and body else body
    description = holder.get("error") if isinstance(holder, dict) else None
    details = description.get("details") if isinstance(description, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        match = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
        if match:
            return float(match[1])
    return None


def _class_of(status: int, codes: str, message: str) -> type[LlmToolsError]:
    for phrase, statuses, cls in _MESSAGE_PATTERNS:
        if status in statuses and phrase.search(message):
            return cls
    for pattern, cls in _CODE_PATTERNS:
        if pattern.search(codes) and (status == 0 or issubclass(cls, _CODE_WINS)):
            return cls
    if status in _STATUS_CLASSES:
        return _STATUS_CLASSES[status]
    if status == 0 or status >= 500:
        return errors.UnavailableError
    return errors.RequestError if status >= 400 else errors.ConfigError


# The classes that a code decides even if there is a status.
_CODE_WINS = (
    errors.FilteredError,
    errors.QuotaError,
    errors.ContextError,
    errors.NoModelError,
    errors.OverloadedError,
)


def failure_from_body(body: Any, status: int | None = None, headers: Mapping[str, str] | None = None) -> LlmToolsError:
    """Return the failure that the JSON value of an error body describes.

    status: that of the response, None for an error in mid-stream, whose status is in the body.
    headers: names in lower case.
    """
    headers = headers or {}
    status = status_of(body) if status is None else status
    message = error_message(body) or (
        f"the provider answered with status {status}" if status else "the provider failed"
    )
    message = message.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # joins halves of characters
    cls = _class_of(status or 0, _codes_of(body), message)
    message = message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "…"
    is_temporary = issubclass(cls, (errors.TryLaterError, errors.UnavailableError))
    return cls(
        message,
        http_status=status,
        retryable=is_retryable(status, headers) and is_temporary if status else is_temporary,
        retry_after=delay_in(body) if (delay := retry_after(headers)) is None else delay,
        request_id=request_id(headers),
    )


def failure_from_response(status: int, headers: Mapping[str, str], body: bytes) -> LlmToolsError:
    """Return the failure that a response with an error status describes.

    headers: names in lower case. body: JSON of any vendor, text, HTML or nothing. Of text and
    HTML the first visible characters are the message. A redirect is a failure that names its target.
    """
    if 300 <= status < 400:
        where = re.sub(r"[?#].*", "", headers.get("location", ""))
        return errors.ConfigError(
            f"the server redirects to {where or 'nowhere'}, which is not followed", http_status=status
        )
    try:
        value = loads(body)
    except InputError:
        value = visible_text(body)
    return failure_from_body(value, status, headers)


def visible_text(body: bytes, longest: int = 200) -> str:
    """Return the first visible characters of a body that is not JSON; `longest` is their number."""
    text = body[: 16 * longest].decode("utf-8", "replace")
    text = re.sub(r"<(script|style|head)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join("".join([c if c.isprintable() else " " for c in text]).split())[:longest]


def is_retryable(status: int | None, headers: Mapping[str, str]) -> bool:
    """Return whether the same request may work later. status: None if the connection failed."""
    servers_answer = headers.get("x-should-retry", "")
    if servers_answer in ("true", "false"):
        return servers_answer == "true"
    return status is None or status in RETRIED or status >= 500


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the vendor's id of the request, None if no header has it."""
    return next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)


def _finite_number(text: str | None) -> float | None:
    """Return a finite number that is not negative, None for any other text."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


_DATE = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def _date(text: str | None) -> float | None:
    """Return the seconds since 1970 of an HTTP date, None for any other text."""
    match = _DATE.fullmatch(text.strip()) if text else None
    if match is None or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    month = _MONTHS.index(match[2]) // 3 + 1
    # Years begin in March here, so that the leap day is the last (Hinnant's days_from_civil).
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
    return days * 86400.0 + hour * 3600 + minute * 60 + second


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that the server asks to wait: retry-after-ms, else retry-after; None without them.

    now: seconds since 1970, from which a date counts; without it, the server's own `date`. A value
    that makes no sense is ignored, and so are 0 milliseconds: one server sends them beside a
    whole second.
    """
    milliseconds = _finite_number(headers.get("retry-after-ms"))
    if milliseconds:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _finite_number(value)
    if seconds is None and (date := _date(value)) is not None:
        start = _date(headers.get("date")) if now is None else now
        seconds = None if start is None or date < start else date - start
    return seconds


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def _duration_seconds(text: str) -> float | None:
    """Return the seconds of a duration in a rate-limit header: `6m0s`, `17.4s`, `4ms`, `59`; None for other text."""
    plain = _finite_number(text)
    if plain is not None:
        return plain
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    values = [_finite_number(group) or 0.0 for group in match.groups()]
    return sum(value * unit for value, unit in zip(values, (86400, 3600, 60, 1, 0.001), strict=True))


RATE_LIMITS = re.compile(r"(?:x-)?ratelimit-(?P<kind>limit|remaining|reset)(?:-(?P<what>[a-z0-9-]+))?")
"""The usual names of rate-limit headers. A protocol may have others."""


def rate_limits(headers: Mapping[str, str], *patterns: re.Pattern[str]) -> dict[str, dict[str, float]]:
    """Return the values of the rate-limit headers: {"requests": {"limit", "remaining", "reset"}, …}.

    patterns: match further names, with the groups `kind` and `what`. `reset` is in seconds from
    now; one that is a point in time is left out. Headers without a `what`, such as
    `x-ratelimit-limit`, count as "requests".
    """
    limits: dict[str, dict[str, float]] = {}
    for name, text in headers.items():
        match = next((match for pattern in (RATE_LIMITS, *patterns) if (match := pattern.fullmatch(name))), None)
        value = _duration_seconds(text) if match else None
        if match is not None and value is not None and not (match["kind"] == "reset" and value > 1e8):
            limits.setdefault(match["what"] or "requests", {})[match["kind"]] = value
    return limits
