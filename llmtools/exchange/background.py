"""A reply that the server writes in the background: read on after a break, and polled. No I/O.

Rules:
* The server goes on without a connection. A break, or a limit on silence, is no failure of such a
  reply: it is read on behind its last event, or polled until it is over.
* It fails if the server says so, or if the server cannot be reached for Limits.idle seconds.
"""

from __future__ import annotations

from ..errors import TimedOutError, TryLaterError, UnavailableError, setting_name
from ..http.request import Emit, HttpRequest, Limits, Open, Sleep, path_segment
from ..records.build import notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..http.endpoint import Endpoint
    from ..protocols.spec import Spec
    from .attempt import Attempt, Clock, Wants

FIRST_WAIT = 0.5
"""Seconds before the first look at the reply; each is half as long again as the one before."""
LONGEST_WAIT = 15.0
"""The most seconds between two looks at the reply."""
STOP_LIMITS = Limits(connect=0.9, idle=0.9, progress=0.9)
"""The limits of the request that stops a reply: after a signal a command has two seconds."""


def reply_request(spec: Spec, reply_id: str, after: int | None = None) -> HttpRequest:
    """Return the request for a reply, whole or, with `after`, as a stream of the events behind that one."""
    path = spec.background_path.format(id=path_segment(reply_id))
    query = "" if after is None else spec.background_events.format(after=after)
    return HttpRequest(path + query, b"", method="GET")


def stop_request(spec: Spec, reply_id: str, endpoint: Endpoint) -> Open:
    """Return what stops a reply at the server."""
    request = HttpRequest(f"{reply_request(spec, reply_id).path}/cancel", b"")
    return Open(request, endpoint, STOP_LIMITS)


def follow(attempt: Attempt, spec: Spec, clock: Clock, limits: Limits) -> Wants:
    """Yield the wants that read the rest of a background reply, whose failure is a break or that it is not ready."""
    decoder, wait, last = attempt.background, FIRST_WAIT, clock.age()
    can_stream = attempt.is_stream and bool(spec.background_events)
    if attempt.is_stream:
        message = f"{attempt.failure}; the server goes on with the reply {decoder.background_id}, which is read on"
        yield Emit([notice("background", message)])
    while decoder.background_id and isinstance(attempt.failure, (TryLaterError, UnavailableError)):
        if limits.total is not None and clock.age() >= limits.total:
            attempt.failure = TimedOutError(
                f"the reply took longer than {limits.total:g} s ({setting_name('--timeout', 'limits.total')})"
            )
            return
        yield Sleep(wait)
        seen, after = decoder.seen, decoder.sequence if can_stream else None
        yield from attempt.again(reply_request(spec, decoder.background_id, after), is_stream=after is not None)
        if attempt.is_answered:
            last = clock.age()
        elif clock.age() - last >= limits.idle:
            return
        is_new = decoder.seen > seen
        if after is not None and not is_new and (attempt.is_answered or attempt.status is not None):
            can_stream = False  # the server streams no rest: it is asked for the whole reply
            attempt.failure = attempt.failure and UnavailableError(attempt.failure.message)
        wait = FIRST_WAIT if is_new else min(wait * 1.5, LONGEST_WAIT)
