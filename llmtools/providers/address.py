"""The base URL of a provider, from its own variables, the configuration or the catalogue.

Rule: the vendors' own variables (OPENAI_BASE_URL, OLLAMA_HOST …) override the configuration, which
overrides the catalogue.
"""

from __future__ import annotations

import os
import re

from ..errors import ConfigError, UsageError
from ..http.endpoint import Endpoint, check_secrecy, is_local, split_url
from ..http.request import path_segment
from ..protocols import DEFAULT_PROTOCOL, load
from ..protocols.request import Target
from .catalogue import PROVIDERS, Provider, max_output_of, quirks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..http.endpoint import Secret


def at(base_url: str, protocol: str | None = None, key: Secret | None = None) -> Endpoint:
    """Return the endpoint at a base URL.

    protocol: its name, `DEFAULT_PROTOCOL` without one. The issuer is the origin of the URL, with
    another protocol in front, as one issuer has one protocol. Raises UsageError if `base_url` is not
    a base URL or the protocol is unknown, ConfigError for a key over plain http to another machine.
    """
    origin = split_url(base_url)[2]
    if key is not None:
        check_secrecy(base_url)
    protocol = protocol or DEFAULT_PROTOCOL
    issuer = origin if protocol == DEFAULT_PROTOCOL else f"{protocol}+{origin}"
    return Endpoint(issuer, base_url.rstrip("/"), protocol, key, auth=load(protocol).SPEC.key_header)


def target_at(endpoint: Endpoint, model: str, name: str | None = None, options: dict[str, Any] | None = None) -> Target:
    """Return a model of an endpoint. `name`: the name that resolves to it, if that is another."""
    quirks = quirks_of(endpoint.name, endpoint.protocol, endpoint.quirks, model)
    return Target(name or model, model, endpoint, options or {}, quirks, max_output_of(endpoint.protocol, model))


def is_self_hosted(provider: Provider, base_url: str) -> bool:
    """Whether a provider is the user's own server, which needs no key: one on this machine or, if only
    the vendor's cloud needs a key, one at an http URL."""
    scheme, host, _ = split_url(base_url)
    return is_local(host) or (provider.key == "remote" and scheme == "http")


def base_url_of(name: str, provider: Provider, settings: dict[str, Any], model: str) -> tuple[str, str]:
    """Return the base URL of a provider, and the query to append to every path.

    settings: the provider's table in the configuration. Raises ConfigError.
    """
    from_variable = os.environ.get(provider.url_variable, "") if provider.url_variable else ""
    base_url, query = from_variable or provider.base_url, ""
    if name == "azure":
        base_url, query = _azure_url(from_variable or settings.get("base_url", ""), settings, model)
    elif name == "vertex":
        base_url = _vertex_url(from_variable or settings.get("base_url", ""), settings)
    elif name == "ollama" and from_variable:
        base_url = _ollama_url(from_variable)
    elif name in ("gemini", "interactions") and from_variable:
        base_url = from_variable.rstrip("/") + "/v1beta"
    try:
        split_url(base_url)
    except UsageError as error:
        raise ConfigError(f"{provider.url_variable if from_variable else name}: {error.message}") from None
    return base_url.rstrip("/"), query


def _azure_url(base: str, settings: dict[str, Any], model: str) -> tuple[str, str]:
    """Return the base URL and the query for Azure. With an API version, the URL names the deployment, as
    older resources need it; without one, the model names the deployment."""
    if not base:
        raise ConfigError("azure: no address: set AZURE_OPENAI_ENDPOINT, or base_url under [providers.azure]")
    base = re.sub(r"/openai(/v1)?/?$", "", base.rstrip("/"))
    version = os.environ.get("OPENAI_API_VERSION") or settings.get("api_version", "")
    if not re.fullmatch(r"[\w.-]*", version):
        raise ConfigError(f"azure: {version!r} is not an API version")
    query = f"api-version={version}" if version else ""
    if re.match(r"\d", version):
        return f"{base}/openai/deployments/{path_segment(model)}", query
    return f"{base}/openai/v1", query


def _vertex_url(base: str, settings: dict[str, Any]) -> str:
    """Return the base URL for Vertex AI. The host has the location, unless that is `global`."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT") or settings.get("project", "")
    location = os.environ.get("GOOGLE_CLOUD_LOCATION") or settings.get("location", "global")
    if not project:
        raise ConfigError("vertex: no project: set GOOGLE_CLOUD_PROJECT, or project under [providers.vertex]")
    for word in (project, location):
        if not re.fullmatch(r"[\w.:-]+", word):
            raise ConfigError(f"vertex: {word!r} is not a project or location")
    host = {"global": "aiplatform.googleapis.com"}.get(location, f"{location}-aiplatform.googleapis.com")
    if location in ("us", "eu"):
        host = f"aiplatform.{location}.rep.googleapis.com"
    path = PROVIDERS["vertex"].base_url.removeprefix("https://{host}").format(project=project, location=location)
    return (base.rstrip("/") or f"https://{host}") + path


def _ollama_url(value: str) -> str:
    """Return the base URL for a value of OLLAMA_HOST: an address to listen on, or a URL."""
    scheme, mark, rest = value.partition("://")
    if not mark:
        scheme, rest = "http", value
    authority, slash, path = rest.rstrip("/").partition("/")
    match = re.fullmatch(r"(\[[^]]*\]|[^:]*)(?::(\d+))?", authority)
    if match is None:  # the value is not shown, as it may have a password
        raise ConfigError("OLLAMA_HOST is not an address: use HOST, HOST:PORT or a URL")
    host, port = match[1] or "127.0.0.1", match[2]
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    port = port or {"http": "80", "https": "443"}.get(scheme if mark else "", "11434")
    return f"{scheme}://{host}:{port}{slash}{path}"
