"""Where a provider is: its base URL, from its own variables, the configuration or the catalogue.

Rule: the vendors' own variables (OPENAI_BASE_URL, OLLAMA_HOST …) override the configuration, which
overrides the catalogue.
"""

from __future__ import annotations

import os
import re

from ..errors import ConfigError, UsageError
from ..http.endpoint import Endpoint, check_secrecy, is_local, split_url
from ..protocols import DEFAULT_PROTOCOL, load
from ..protocols.request import Target
from .catalogue import PROVIDERS, Provider, longest_of, quirks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..http.endpoint import Secret


def at(base_url: str, protocol: str | None = None, key: Secret | None = None) -> Endpoint:
    """Return the endpoint at a bare base URL. Its origin is the issuer of what it signs; a
    protocol other than Chat comes before it, since one issuer speaks one protocol.

    Raises UsageError for what is not a base URL or a protocol, ConfigError for a key over plain
    http to another machine.
    """
    origin = split_url(base_url)[2]
    if key is not None:
        check_secrecy(base_url)
    protocol = protocol or DEFAULT_PROTOCOL
    issuer = origin if protocol == DEFAULT_PROTOCOL else f"{protocol}+{origin}"
    return Endpoint(issuer, base_url.rstrip("/"), protocol, key, auth=load(protocol).SPEC.key_header)


def target_at(endpoint: Endpoint, model: str, name: str | None = None, options: dict[str, Any] | None = None) -> Target:
    """Return a model of an endpoint; `name` is the one that resolves again, if it is another."""
    quirks = quirks_of(endpoint.name, endpoint.protocol, endpoint.quirks, model)
    return Target(name or model, model, endpoint, options or {}, quirks, longest_of(endpoint.protocol, model))


def is_own(said: Provider, base_url: str) -> bool:
    """Whether a provider is a server of the user's, which needs no key: one on this machine, or
    one that only its vendor's cloud wants a key for."""
    scheme, host, _ = split_url(base_url)
    return is_local(host) or (said.key == "remote" and scheme == "http")


def address(name: str, said: Provider, settings: dict[str, Any], model: str) -> tuple[str, str]:
    """Return the base URL of a provider and the query behind every path. Raises ConfigError."""
    named = os.environ.get(said.url_variable, "") if said.url_variable else ""
    base_url, query = named or said.base_url, ""
    if name == "azure":
        base_url, query = _azure(named or settings.get("base_url", ""), settings, model)
    elif name == "vertex":
        base_url = _vertex(named or settings.get("base_url", ""), settings)
    elif name == "ollama" and named:
        base_url = _ollama(named)
    elif name == "gemini" and named:
        base_url = named.rstrip("/") + "/v1beta"
    try:
        split_url(base_url)
    except UsageError as error:
        raise ConfigError(f"{said.url_variable if named else name}: {error.message}") from None
    return base_url.rstrip("/"), query


def _azure(base: str, settings: dict[str, Any], model: str) -> tuple[str, str]:
    """Azure by deployments where an API version is named, as its older resources want it; else
    by the version-less form, in which a deployment is a model."""
    if not base:
        raise ConfigError("azure: no address: set AZURE_OPENAI_ENDPOINT, or base_url under [providers.azure]")
    base = re.sub(r"/openai(/v1)?/?$", "", base.rstrip("/"))
    version = os.environ.get("OPENAI_API_VERSION") or settings.get("api_version", "")
    if not re.fullmatch(r"[\w.-]*", version):
        raise ConfigError(f"azure: {version!r} is no API version")
    query = f"api-version={version}" if version else ""
    if re.match(r"\d", version):
        from urllib.parse import quote

        return f"{base}/openai/deployments/{quote(model, safe='')}", query
    return f"{base}/openai/v1", query


def _vertex(base: str, settings: dict[str, Any]) -> str:
    """Vertex AI: by project and location; the location is part of the host, but for `global`."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT") or settings.get("project", "")
    location = os.environ.get("GOOGLE_CLOUD_LOCATION") or settings.get("location", "global")
    if not project:
        raise ConfigError("vertex: no project: set GOOGLE_CLOUD_PROJECT, or project under [providers.vertex]")
    for word in (project, location):
        if not re.fullmatch(r"[\w.:-]+", word):
            raise ConfigError(f"vertex: {word!r} is no project and no location")
    host = {"global": "aiplatform.googleapis.com"}.get(location, f"{location}-aiplatform.googleapis.com")
    if location in ("us", "eu"):
        host = f"aiplatform.{location}.rep.googleapis.com"
    path = PROVIDERS["vertex"].base_url.removeprefix("https://{host}").format(project=project, location=location)
    return (base.rstrip("/") or f"https://{host}") + path


def _ollama(named: str) -> str:
    """Return the base URL that OLLAMA_HOST means: what a server listens on, or where one is."""
    scheme, mark, rest = named.partition("://")
    if not mark:
        scheme, rest = "http", named
    place, slash, path = rest.rstrip("/").partition("/")
    found = re.fullmatch(r"(\[[^]]*\]|[^:]*)(?::(\d+))?", place)
    if found is None:
        raise ConfigError("OLLAMA_HOST is no address: HOST, HOST:PORT or a URL is meant")  # it may hold a password
    host, port = found[1] or "127.0.0.1", found[2]
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    port = port or {"http": "80", "https": "443"}.get(scheme if mark else "", "11434")
    return f"{scheme}://{host}:{port}{slash}{path}"
