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

from ..errors import ConfigError, NoModelError
from ..http.endpoint import Endpoint, check_secrecy
from ..protocols import DEFAULT_PROTOCOL, load
from ..protocols.request import Target, is_built_in
from . import keys
from .address import address, is_own, target_at
from .catalogue import (
    LOCAL,
    PROVIDERS,
    Provider,
    provider_of,
)
from .config import Config, read
from .list_cache import cached
from .names import did_you_mean, near, perhaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..http.endpoint import Secret

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
    return target_at(endpoint(provider, model, key, config=config), model, full, options(full, config))


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
            meant = did_you_mean(name, [*PROVIDERS, *config.providers], ": ")
            raise NoModelError(f"no provider is named {name!r}{meant}")
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


def endpoint(name: str, model: str, key: Secret | None = None, *, config: Config) -> Endpoint:
    """Return where a provider's model is asked, with its key. Raises NoKeyError, ConfigError."""
    said, settings = provider(name, config), config.providers.get(name, {})
    base_url, query = address(name, said, settings, model)
    if key is None:
        key = keys.find(name, said, settings, is_local=is_own(said, base_url))
    headers = settings.get("headers", {})
    if key is not None or any(_SECRET.search(header) for header in headers):
        check_secrecy(base_url)
    auth = said.auth if said.auth[0] else load(said.protocol).SPEC.key_header
    return Endpoint(name, base_url, said.protocol, key, headers, said.quirks, query, auth)


def is_settled(name: str, config: Config) -> bool:
    """Whether the user says where a provider is: then it must be there."""
    said = provider(name, config)
    return name not in LOCAL or "base_url" in config.providers.get(name, {}) or said.url_variable in os.environ
