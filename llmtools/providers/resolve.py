"""A model's name to where it is asked: the configuration, the catalogue and the keys, put together.

Rules:
* A name is an alias, `PROVIDER/MODEL`, or a bare name: one that its beginning tells (gpt-…,
  claude-…), else one that the cached list of exactly one provider has.
* The vendors' own variables (OPENAI_BASE_URL, OLLAMA_HOST …) override the configuration, which
  overrides the catalogue.
* A key goes to its provider's base URL only, and over plain http to this machine only.
* A name that no one knows is refused, with those that are near it.
"""

from __future__ import annotations

import os
import re

from ..errors import ConfigError, NoModelError, UsageError
from ..protocols.request import Endpoint, Target
from . import keys
from .catalogue import (
    LOCAL,
    PROVIDERS,
    Provider,
    provider_of,
)
from .config import (
    Config,
    near,
    perhaps,
    read,
)
from .list_formats import cached
from .names import (
    DEFAULT_PROTOCOL,
    check_secrecy,
    is_built_in,
    is_local,
    split_url,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..protocols.request import Secret

_SECRET = re.compile(r"(?i)auth|key|token|secret|cookie|session")
"""Names of headers whose values are taken for secrets."""


def resolve(name: str, key: Secret | None = None) -> Target:
    """Return what a model's name means, with the key it needs: `key`, or the one that is found.

    Raises NoModelError for a name that no one knows, NoKeyError, ConfigError.
    """
    config = read()
    meant = alias(name, config)
    if is_built_in(meant):
        return Target(meant, meant)
    provider, model = split(name, config)
    full = f"{provider}/{model}"
    return Target(full, model, endpoint(provider, model, key, config=config), options(full, config))


def options(full: str, config: Config) -> dict[str, Any]:
    """Return the options that `[models."NAME".options]` gives a model, by whichever name it stands there."""
    found: dict[str, Any] = {}
    for name, table in config.models.items():
        try:
            meant = name if name == full else "/".join(split(name, config))
        except NoModelError:
            continue
        if meant == full:
            found.update(table.get("options", {}))
    return found


def split(name: str, config: Config) -> tuple[str, str]:
    """Return the provider and its own name of the model that a name means. Raises NoModelError."""
    asked, name = name, alias(name, config)
    provider, slash, model = name.partition("/")
    if slash and model and provider in known(config):
        return provider, model
    if not slash and (meant := provider_of(name)):
        return meant, name
    lists = cached()
    holders = [provider for provider, names in lists.items() if name in names or f"{name}:latest" in names]
    if len(holders) == 1:
        return holders[0], name
    if holders:
        raise NoModelError(f"{name!r} can be {_named(f'{holder}/{name}' for holder in holders)}: say which")
    raise NoModelError(_unknown(asked, name, config, lists))


def alias(name: str, config: Config) -> str:
    """Return the name that an alias stands for, another name as it is."""
    seen: list[str] = []
    while name in config.aliases:
        if name in seen:
            raise ConfigError(f"{config.path}: the alias {name} leads back to itself")
        seen.append(name)
        name = config.aliases[name]
    return name


def known(config: Config) -> dict[str, Provider]:
    """Return every provider: those of the catalogue, and the user's own."""
    return {**PROVIDERS, **{name: provider(name, config) for name in config.providers}}


def provider(name: str, config: Config) -> Provider:
    """Return a provider of the catalogue as the configuration has it, or one of the user's own.

    Raises NoModelError for one that neither has.
    """
    settings, listed = config.providers.get(name), PROVIDERS.get(name)
    if settings is None:
        if listed is None:
            meant = near(name, [*PROVIDERS, *config.providers])
            raise NoModelError(f"no provider is named {name!r}{perhaps(meant, ': ')}")
        return listed
    if listed is None:
        listed = Provider(DEFAULT_PROTOCOL, "", key="own")
    named = settings.get("key_env", listed.keys)
    return Provider(
        settings.get("protocol", listed.protocol),
        settings.get("base_url", listed.base_url),
        (named,) if isinstance(named, str) else tuple(named),
        listed.quirks | frozenset(settings.get("quirks", ())),
        listed.key,
        listed.auth,
        listed.url_variable,
        _list_path(listed, settings),
        "" if "base_url" in settings else listed.owner,
    )


def _list_path(listed: Provider, settings: dict[str, Any]) -> str:
    protocol = settings.get("protocol", listed.protocol)
    if protocol == listed.protocol:
        return listed.models
    return next((other.models for other in PROVIDERS.values() if other.protocol == protocol and other.models), "")


def _unknown(asked: str, name: str, config: Config, lists: dict[str, list[str]]) -> str:
    head, slash, model = name.partition("/")
    meant = f"{asked!r}" if asked == name else f"{asked!r} ({name})"
    if head in known(config):
        return f"{head} is a provider: name one of its models, {head}/MODEL (llm-models list {head}/)"
    others = [alias for alias in config.aliases if alias != asked]
    names = [*others, *(f"{provider}/{model}" for provider, names in lists.items() for model in names)]
    found = near(name, [*names, *(model for models in lists.values() for model in models)])
    if slash and not found:
        found = [f"{provider}/{model}" for provider in near(head, known(config))]
    spelled = re.sub(r"(?<=[a-z])(?=\d)", "-", name.lower(), count=1)  # gpt5, GPT-5
    if not found and (family := provider_of(spelled)):
        found = [f"{family}/{spelled}"]
    family = provider_of(f"{name}-")
    if not found and family:
        return f"no model is named {meant}: perhaps one of {family}'s (llm-models {family}/)"
    advice = perhaps(found, ": ") or " (llm-models lists them, --base-url asks any server)"
    return f"no model is named {meant}{advice}"


def _named(names: Iterable[str]) -> str:
    return " or ".join(names)


# Where a provider is


def endpoint(name: str, model: str, key: Secret | None = None, *, config: Config) -> Endpoint:
    """Return where a provider's model is asked, with its key. Raises NoKeyError, ConfigError."""
    said, settings = provider(name, config), config.providers.get(name, {})
    base_url, query = address(name, said, settings, model)
    if key is None:
        key = keys.find(name, said, settings, is_local=is_own(said, base_url))
    headers = settings.get("headers", {})
    if key is not None or any(_SECRET.search(header) for header in headers):
        check_secrecy(base_url)
    return Endpoint(name, base_url, said.protocol, key, headers, said.quirks, query, said.auth)


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


def is_settled(name: str, config: Config) -> bool:
    """Whether the user says where a provider is: then it must be there."""
    said = provider(name, config)
    return name not in LOCAL or "base_url" in config.providers.get(name, {}) or said.url_variable in os.environ


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
