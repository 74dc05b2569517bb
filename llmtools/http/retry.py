"""Whether to send a request again, and after how long; pure.

Rules, which are those of the vendors' SDKs (openai 3.51, anthropic 2.10) made stricter:
* Failed connections, 408, 409, 425, 429 and 5xx are tried again; `x-should-retry` overrides this.
* The server's own delay is obeyed, plus a random part of up to a quarter of it, one second at
  most, so that clients with the same delay do not come back together. A delay that does not
  fit in the budget means to give up; the error names it.
* Without such a delay it is a random part, at least a quarter, of a time that begins at 0.5 s and
  doubles with each failure up to 8 s.
"""

from __future__ import annotations

from .failure import is_retryable, retry_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RETRIES = 2
BUDGET = 120.0
"""Seconds from the first request within which the last one must be sent."""

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 8.0


def delay(
    attempt: int,
    status: int | None,
    headers: Mapping[str, str],
    *,
    elapsed: float,
    random: float,
    now: float | None = None,
    retries: int = RETRIES,
    budget: float = BUDGET,
) -> float | None:
    """Return the seconds to wait before the next request, None to give up.

    attempt: how many requests have failed, from 1. status: that of the last response, None if the
    connection failed. elapsed: seconds since the first request began. random: a number from 0
    up to 1. now: seconds since 1970, for a `retry-after` that is a date. budget: in seconds.
    """
    if attempt > retries or not is_retryable(status, headers):
        return None
    servers_delay = retry_after(headers, now)
    if servers_delay:
        wait = servers_delay + min(servers_delay / 4, 1.0) * random
    else:
        wait = min(_FIRST_DELAY * 2 ** (attempt - 1), _LONGEST_DELAY) * (0.25 + 0.75 * random)
    return wait if elapsed + wait <= budget else None
