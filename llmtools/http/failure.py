"""What a provider says went wrong, as an exception: from a status, headers and a body.

Rules:
* The message is the vendor's own: the first of error.message, error as a string, message,
  detail; where a router only says that its provider failed, what that one said follows.
* A word of the vendor (its code or type) tells more than the status: a quota is no rate
  limit, a long context no wrong request. The status decides where no word is known.
* Nothing here knows one protocol: the shapes of all vendors are read alike.
* A delay is in seconds, from now; what is no sensible number (negative, NaN, a date in the
  past) is no delay.

Bodies, headers and codes: wire-protocols.md section 1, as recorded.
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

LONGEST = 2000
"""The most characters of a vendor's message that are told."""

REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "mistral-correlation-id",
    "x-ds-trace-id",
    "x-generation-id",
    "x-goog-request-id",
)
"""The headers that name a request, the likeliest first."""

_WORDS: tuple[tuple[str, type[LlmToolsError]], ...] = (
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
_CODES = [(re.compile(pattern), cls) for pattern, cls in _WORDS]

# What is only told in words for people, and the statuses with which it was seen.
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
_SAID = [(re.compile(pattern, re.IGNORECASE), statuses, cls) for pattern, statuses, cls in _PHRASES]

_STATUSES: dict[int, type[LlmToolsError]] = {
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


def message_of(body: Any, depth: int = 0) -> str | None:
    """Return the message in the JSON value of an error body, None where there is none."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, str):
        return body.strip() or None
    if not isinstance(body, dict) or depth > _DEEPEST:
        return None
    said = None
    for name in ("error", "message", "detail", "error_message", "msg"):
        said = said or message_of(body.get(name), depth + 1)
    metadata = body.get("metadata")
    if said and isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        return f"{said}: {metadata['raw']}"
    return said


def _words_of(body: Any, depth: int = 0) -> str:
    """Return the codes and types in an error body, for machines, in lower case."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict) or depth > _DEEPEST:
        return ""
    found = [body.get(name) for name in ("code", "error_code", "type", "status")]
    words = " ".join([word.lower() for word in found if isinstance(word, str)])
    inner = [_words_of(body.get(name), depth + 1) for name in ("error", "innererror", "details")]
    return " ".join([word for word in [words, *inner] if word])


def status_of(body: Any, depth: int = 0) -> int | None:
    """Return the HTTP status that an error body names, None where it names none."""
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


def _class_of(status: int, words: str, message: str) -> type[LlmToolsError]:
    for phrase, statuses, cls in _SAID:
        if status in statuses and phrase.search(message):
            return cls
    for pattern, cls in _CODES:
        if pattern.search(words) and (status == 0 or issubclass(cls, _TELLING)):
            return cls
    if status in _STATUSES:
        return _STATUSES[status]
    if status == 0 or status >= 500:
        return errors.UnavailableError
    return errors.RequestError if status >= 400 else errors.ConfigError


# The classes that a word tells better than any status.
_TELLING = (
    errors.FilteredError,
    errors.QuotaError,
    errors.ContextError,
    errors.NoModelError,
    errors.OverloadedError,
)


def failure_of(body: Any, status: int | None = None, headers: Mapping[str, str] | None = None) -> LlmToolsError:
    """Return the failure that the JSON value of an error body tells.

    `status` is that of the response, None for an error in mid-stream, where the body's own
    counts. Header names are in lower case.
    """
    headers = headers or {}
    status = status_of(body) if status is None else status
    message = message_of(body) or (f"the provider answered with status {status}" if status else "the provider failed")
    message = message.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # no half a character
    cls = _class_of(status or 0, _words_of(body), message)
    message = message if len(message) <= LONGEST else message[:LONGEST] + "…"
    is_temporary = issubclass(cls, (errors.TryLaterError, errors.UnavailableError))
    return cls(
        message,
        http_status=status,
        retryable=is_retryable(status, headers) and is_temporary if status else is_temporary,
        retry_after=retry_after(headers),
        request_id=request_id(headers),
    )


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> LlmToolsError:
    """Return the failure that a response with an error status tells.

    Any body will do: JSON of any vendor's shape, text or HTML, of which the first visible
    characters are told, or nothing. A redirect is a failure that names where it leads.
    """
    if 300 <= status < 400:
        where = re.sub(r"[?#].*", "", headers.get("location", ""))
        return errors.ConfigError(
            f"the server redirects to {where or 'nowhere'}, which is not followed", http_status=status
        )
    try:
        said = loads(body)
    except InputError:
        said = visible_text(body)
    return failure_of(said, status, headers)


def visible_text(body: bytes, longest: int = 200) -> str:
    """Return the first visible characters of a body that is no JSON, such as HTML."""
    text = body[: 16 * longest].decode("utf-8", "replace")
    text = re.sub(r"<(script|style|head)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join("".join([c if c.isprintable() else " " for c in text]).split())[:longest]


def is_retryable(status: int | None, headers: Mapping[str, str]) -> bool:
    """Return whether the same request may work later; no status is a failed connection."""
    asked = headers.get("x-should-retry", "")
    if asked in ("true", "false"):
        return asked == "true"
    return status is None or status in RETRIED or status >= 500


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the vendor's name for the request, None where no header tells it."""
    return next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)


def _number(text: str | None) -> float | None:
    """Return a finite number from 0, None for any other text."""
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
    """Return the seconds that the server asks to wait: retry-after-ms, else retry-after.

    A date counts from `now` (seconds since 1970), else from the server's own `date`. A
    header that says nothing sensible is passed over, and so are 0 milliseconds: one server
    sends them beside a whole second.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and (date := _date(value)) is not None:
        begun = _date(headers.get("date")) if now is None else now
        seconds = None if begun is None or date < begun else date - begun
    return seconds


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def _seconds(text: str) -> float | None:
    """Return a duration as rate-limit headers write it: `6m0s`, `17.4s`, `4ms`, `59`."""
    plain = _number(text)
    if plain is not None:
        return plain
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    values = [_number(group) or 0.0 for group in match.groups()]
    return sum(value * unit for value, unit in zip(values, (86400, 3600, 60, 1, 0.001), strict=True))


RATE_LIMITS = re.compile(r"(?:x-)?ratelimit-(?P<kind>limit|remaining|reset)(?:-(?P<what>[a-z0-9-]+))?")
"""The usual names of rate-limit headers; a protocol may have others."""


def rate_limits(headers: Mapping[str, str], *patterns: re.Pattern[str]) -> dict[str, dict[str, float]]:
    """Return what the rate-limit headers say: {"requests": {"limit", "remaining", "reset"}, …}.

    patterns: names beside the usual ones, with the groups `kind` and `what`.

    `reset` is in seconds from now; a reset that is told as a moment, not a duration, is left
    out. The plain `x-ratelimit-limit` and its like stand under "requests".
    """
    found: dict[str, dict[str, float]] = {}
    for name, text in headers.items():
        match = next((match for pattern in (RATE_LIMITS, *patterns) if (match := pattern.fullmatch(name))), None)
        value = _seconds(text) if match else None
        if match is not None and value is not None and not (match["kind"] == "reset" and value > 1e8):
            found.setdefault(match["what"] or "requests", {})[match["kind"]] = value
    return found
