"""The lists of models of the providers: fetched side by side, and cached.

Rules:
* The providers that have a key or run on this machine are asked. One that hangs or fails affects
  only its own list: an earlier list replaces it, if there is one.
* A server on a usual port must be the expected one. It is a failure that such a server does not
  run only if the user has configured it.
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
from .address import base_url_of
from .catalogue import LOCAL_PROVIDERS
from .list_cache import load_list, save_list
from .list_formats import Listing, decode_list, list_items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..http.endpoint import Endpoint
    from .config import Config
    from .list_formats import ModelEntry

MAX_AGE = 24 * 3600.0
"""The seconds for which a list is taken from the cache."""
MAX_PAGES = 50
"""The most pages of one list."""
MAX_PAGE_BYTES = 64 << 20
"""The most bytes of one page."""

# All lists


def load_listings(
    config: Config, names: Iterable[str] = (), *, refresh: bool = False, limit: float = 10.0
) -> list[Listing]:
    """Return the lists of the named providers or, without names, of all `candidates`.

    refresh: whether to fetch lists that are in the cache. limit: the seconds for all of them
    together. A list that could not be fetched has a `failure`.
    """
    from queue import Empty, Queue
    from threading import Thread

    is_optional = not names
    providers = list(names) or candidates(config)
    by_name: dict[str, Listing] = {}
    for name in providers:
        if not refresh and (recent := _recent_list(name, config)) is not None:
            by_name[name] = recent
    answers: Queue[Listing] = Queue()  # a SimpleQueue forgets its timeout when a signal handler runs (3.11)
    deadline = time.monotonic() + limit
    for name in providers:
        if name not in by_name:
            Thread(target=_fetch_list, args=(name, config, deadline, answers.put), daemon=True).start()
    while len(by_name) < len(providers):
        try:
            listing = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except Empty:
            break
        by_name[listing.provider] = listing
    timeout = TimedOutError(f"no list came within {limit:g} s")
    listings = [by_name.get(name) or Listing(name, [], timeout) for name in providers]
    return [_with_earlier(listing, config, is_optional) for listing in listings]


def candidates(config: Config) -> list[str]:
    """Return the providers with a list of models that are configured, have a key, or may run on this machine."""
    wanted = {*LOCAL_PROVIDERS, *config.providers, *keychain.key_names()}
    providers = resolve.all_providers(config).items()
    return [
        name for name, provider in providers if provider.models and (name in wanted or keys.has_key_variable(provider))
    ]


def _recent_list(name: str, config: Config) -> Listing | None:
    """Return a list of the cache that is recent enough; None for a server on this machine, whose
    models may change at any time."""
    return None if name in LOCAL_PROVIDERS else load_list(name, _base_url(name, config), MAX_AGE)


def _base_url(name: str, config: Config) -> str:
    try:
        return base_url_of(name, resolve.find_provider(name, config), config.providers.get(name, {}), "")[0]
    except LlmToolsError:
        return ""


def _fetch_list(name: str, config: Config, deadline: float, done: Callable[[Listing], None]) -> None:
    try:
        models = fetch_models(name, config, deadline)
        save_list(name, _base_url(name, config), models)
        done(Listing(name, models, None, time.time()))
    except LlmToolsError as error:
        done(Listing(name, [], error))
    except Exception as error:  # a bug in one list must not affect the others
        done(Listing(name, [], LlmToolsError(f"a bug: {type(error).__name__}: {error}")))


def _with_earlier(listing: Listing, config: Config, is_optional: bool) -> Listing:
    """Return a list that failed with the models of the cached one. `is_optional`: a server that the
    user has not configured does not run, which is not a failure."""
    name = listing.provider
    if listing.failure is None:
        return listing
    if is_optional and not resolve.is_configured(name, config):
        return Listing(name, [])
    earlier = load_list(name, _base_url(name, config))
    return listing if earlier is None else replace(listing, models=earlier.models, fetched=earlier.fetched)


# One list


def fetch_models(name: str, config: Config, deadline: float) -> list[ModelEntry]:
    """Fetch the list of a provider, all pages of it. `deadline`: by time.monotonic(). Raises LlmToolsError."""
    from urllib.parse import urlencode, urljoin

    provider = resolve.find_provider(name, config)
    if not provider.models:
        raise NoModelError(f"{name} has no list of its models")
    endpoint = resolve.endpoint_of(name, "", config=config)
    spec = load(endpoint.protocol).SPEC
    first = urljoin(endpoint.base_url + "/", provider.models)
    models: list[ModelEntry] = []
    more: str | None = ""
    for _ in range(MAX_PAGES):
        if more is None:
            break
        url = f"{first}{'&' if '?' in first else '?'}{more}" if more else first
        try:
            body = _fetch_json(endpoint, url, deadline)
        except LlmToolsError as error:
            error.message = endpoint.mask(error.message)
            raise
        if provider.owner and not any(item.get("owned_by") == provider.owner for item in list_items(body)):
            raise ProtocolError(f"the server at {endpoint.base_url} is not {provider.owner}")
        models += decode_list(name, body)
        query = spec.next_page(body) if isinstance(body, dict) else {}
        more = urlencode(query) if query else None
    return models


def _fetch_json(endpoint: Endpoint, url: str, deadline: float) -> Any:
    """Return the decoded JSON at a URL of an endpoint. Raises LlmToolsError."""
    from ..http.request import Open
    from ..http.transport import Connection

    origin = split_url(endpoint.base_url)[2]
    left = max(deadline - time.monotonic(), 0) + 1  # so that the timeout of all lists comes first
    headers = {"accept": "application/json", **load(endpoint.protocol).SPEC.list_headers}
    request = HttpRequest(url.removeprefix(origin), b"", headers, "GET")
    connection = Connection()
    try:
        opened = connection.open(
            Open(request, replace(endpoint, base_url=origin), Limits(connect=left, idle=left, progress=left))
        )
        if isinstance(opened, LlmToolsError):
            raise opened
        body = _read_body(connection, deadline)
    finally:
        connection.close()
    if opened.status != 200:
        failure: LlmToolsError = load(endpoint.protocol).error_of(opened.status, opened.headers, body)
        raise failure
    try:
        return loads(body)
    except InputError:
        raise ProtocolError("the list of models is not JSON") from None


def _read_body(connection: Any, deadline: float) -> bytes:
    body = bytearray()
    while data := connection.read():
        if isinstance(data, LlmToolsError):
            raise data
        body += data
        if time.monotonic() > deadline:
            raise TimedOutError("the list of models did not end in time")
        if len(body) > MAX_PAGE_BYTES:
            raise ProtocolError(f"the list of models is longer than {MAX_PAGE_BYTES >> 20} MiB")
    return bytes(body)
