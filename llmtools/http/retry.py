"""Whether to ask again, and after how long; pure.

Rules, those of the vendors' SDKs (openai 3.51, anthropic 2.10) made stricter:
* Failed connections, 408, 409, 425, 429 and 5xx are tried again; `x-should-retry` overrides.
* The server's own delay is obeyed, with a quarter of it, a second at most, on top by
  chance: clients that were told the same moment must not come back together. A delay that
  does not fit in the budget means to give up; it is told in the error.
* Without one the delay is a random part, a quarter at least, of 0.5 s doubled each time, 8 s at most.
"""

from __future__ import annotations

from .failure import is_retryable, retry_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RETRIES = 2
BUDGET = 120.0
"""Seconds from the first request within which the last must have been sent."""

_FIRST = 0.5
_MOST = 8.0


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

    attempt: how many requests failed so far, from 1; status: of the last response, None
    where the connection failed; elapsed: seconds since the first request began; random:
    from 0 up to 1; now: seconds since 1970, for a `retry-after` that is a date.
    """
    if attempt > retries or not is_retryable(status, headers):
        return None
    asked = retry_after(headers, now)
    if asked:
        wait = asked + min(asked / 4, 1.0) * random
    else:
        wait = min(_FIRST * 2 ** (attempt - 1), _MOST) * (0.25 + 0.75 * random)
    return wait if elapsed + wait <= budget else None
