"""Models that can be had: the providers' own lists, asked all at once, and kept for a while.

Rules:
* Those are asked that have a key or run on this machine. One that hangs or fails costs its own
  list, and one line; the list of an earlier time stands in for it where there is one.
* A server found on its usual port must be what is expected there; where the user did not
  settle that it is there, its absence is no failure.
"""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import (
    InputError,
    LlmToolsError,
    NoModelError,
    ProtocolError,
    TimedOutError,
)
from ..http.endpoint import split_url
from ..http.request import HttpRequest, Limits
from ..protocols import load
from ..records.jsonl import loads
from . import keychain, keys, resolve
from .address import address
from .catalogue import LOCAL
from .list_cache import keep, kept
from .list_formats import Listing, decode, items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..http.endpoint import Endpoint
    from .config import Config
    from .list_formats import Model

AGE = 24 * 3600.0
"""The seconds for which a list is not asked for again."""
PAGES = 50
"""The most pages of one list."""
LARGEST = 64 << 20
"""The most bytes of one page."""

# The lists of all


def listings(config: Config, names: Iterable[str] = (), *, refresh: bool = False, limit: float = 10.0) -> list[Listing]:
    """Return the lists of providers: those named, else all that have a key or run here.

    limit: the seconds within which all must have answered. What goes wrong with one of them
    stands in its `failure`.
    """
    from queue import Empty, Queue
    from threading import Thread

    is_sought = not names
    asked = list(names) or candidates(config)
    found = {name: listing for name in asked if (listing := None if refresh else _young(name, config)) is not None}
    answers: Queue[Listing] = Queue()  # a SimpleQueue forgets its timeout where a signal comes (3.11)
    until = time.monotonic() + limit
    for name in asked:
        if name not in found:
            Thread(target=_list, args=(name, config, until, answers.put), daemon=True).start()
    while len(found) < len(asked):
        try:
            listing = answers.get(timeout=max(until - time.monotonic(), 0.001))
        except Empty:
            break
        found[listing.provider] = listing
    late = TimedOutError(f"no list came within {limit:g} s")
    every = [found.get(name) or Listing(name, [], late) for name in asked]
    return [_or_earlier(listing, config, is_sought) for listing in every]


def candidates(config: Config) -> list[str]:
    """Return the providers that have a list and a key, are the user's own, or may run here."""
    with_keys = keychain.names()
    return [
        name
        for name, provider in resolve.known(config).items()
        if provider.models
        and (name in LOCAL or name in config.providers or name in with_keys or keys.has_variable(provider))
    ]


def _young(name: str, config: Config) -> Listing | None:
    """Return the kept list of a provider that need not be asked; those of this machine always are."""
    return None if name in LOCAL else kept(name, _where(name, config), AGE)


def _where(name: str, config: Config) -> str:
    try:
        return address(name, resolve.provider(name, config), config.providers.get(name, {}), "")[0]
    except LlmToolsError:
        return ""


def _list(name: str, config: Config, until: float, done: Callable[[Listing], None]) -> None:
    try:
        models = fetch(name, config, until)
        keep(name, _where(name, config), models)
        done(Listing(name, models, None, time.time()))
    except LlmToolsError as error:
        done(Listing(name, [], error))
    except Exception as error:  # one thread's bug is not the others'
        done(Listing(name, [], LlmToolsError(f"a bug: {type(error).__name__}: {error}")))


def _or_earlier(listing: Listing, config: Config, is_sought: bool) -> Listing:
    """Return a list that failed with what an earlier one said; a server that was only looked
    for on its usual port did not fail, it is not there."""
    name = listing.provider
    if listing.failure is None:
        return listing
    if is_sought and not resolve.is_settled(name, config):
        return Listing(name, [])
    earlier = kept(name, _where(name, config))
    return listing if earlier is None else replace(listing, models=earlier.models, fetched=earlier.fetched)


# One list


def fetch(name: str, config: Config, until: float) -> list[Model]:
    """Ask a provider for its models, until a moment of time.monotonic(). Raises LlmToolsError."""
    from urllib.parse import urlencode, urljoin

    provider = resolve.provider(name, config)
    if not provider.models:
        raise NoModelError(f"{name} has no list of its models")
    endpoint = resolve.endpoint(name, "", config=config)
    spec = load(endpoint.protocol).SPEC
    first = urljoin(endpoint.base_url + "/", provider.models)
    models: list[Model] = []
    more: str | None = ""
    for _ in range(PAGES):
        if more is None:
            break
        url = f"{first}{'&' if '?' in first else '?'}{more}" if more else first
        try:
            body = _got(endpoint, url, until)
        except LlmToolsError as error:
            error.message = endpoint.mask(error.message)
            raise
        if provider.owner and not any(item.get("owned_by") == provider.owner for item in items(body)):
            raise ProtocolError(f"{endpoint.base_url} is no {provider.owner}")
        models += decode(name, body)
        query = spec.next_page(body) if isinstance(body, dict) else {}
        more = urlencode(query) if query else None
    return models


def _got(endpoint: Endpoint, url: str, until: float) -> Any:
    """Return the JSON at a URL of an endpoint's. Raises LlmToolsError."""
    from ..http.request import Open
    from ..http.transport import Connection

    origin = split_url(endpoint.base_url)[2]
    left = max(until - time.monotonic(), 0) + 1  # who waits for all says first that it is over
    headers = {"accept": "application/json", **load(endpoint.protocol).SPEC.list_headers}
    request = HttpRequest(url.removeprefix(origin), b"", headers, "GET")
    connection = Connection()
    try:
        opened = connection.open(Open(request, replace(endpoint, base_url=origin), Limits(connect=left, idle=left)))
        if isinstance(opened, LlmToolsError):
            raise opened
        body = _read(connection, until)
    finally:
        connection.close()
    if opened.status != 200:
        failure: LlmToolsError = load(endpoint.protocol).error_of(opened.status, opened.headers, body)
        raise failure
    try:
        return loads(body)
    except InputError:
        raise ProtocolError("the list of models is no JSON") from None


def _read(connection: Any, until: float) -> bytes:
    body = bytearray()
    while data := connection.read():
        if isinstance(data, LlmToolsError):
            raise data
        body += data
        if time.monotonic() > until:
            raise TimedOutError("the list of models did not end in time")
        if len(body) > LARGEST:
            raise ProtocolError(f"the list of models is longer than {LARGEST >> 20} MiB")
    return bytes(body)
