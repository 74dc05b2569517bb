"""A model's name to its endpoint, from the configuration, the catalogue and the keys.

Rules:
* A name is an alias, `PROVIDER/MODEL`, or a bare name: one whose beginning names its provider
  (gpt-…, claude-…), or one that the cached list of exactly one provider has.
* The vendors' own variables (OPENAI_BASE_URL, OLLAMA_HOST …) override the configuration, which
  overrides the catalogue.
* A key is sent only to the base URL of its provider, and over plain http only to this machine.
* An unknown name is an error that suggests similar ones.
"""

from __future__ import annotations

import os
import re

from ..errors import ConfigError, NoModelError, setting_name
from ..http.endpoint import Endpoint, check_secrecy
from ..protocols import DEFAULT_PROTOCOL, load
from ..protocols.request import Target, is_built_in
from . import keys
from .address import base_url_of, is_self_hosted, target_at
from .catalogue import (
    LOCAL_PROVIDERS,
    PROVIDERS,
    Provider,
    provider_of,
)
from .config import Config, read_config
from .list_cache import load_model_names
from .names import did_you_mean, similar_names, suggest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..http.endpoint import Secret

_SECRET = re.compile(r"(?i)auth|key|token|secret|cookie|session")
"""Matches the names of headers whose values are treated as secrets."""


def resolve(name: str, key: Secret | None = None) -> Target:
    """Return the model and the endpoint for a model's name, with `key` or the provider's own key.

    Raises NoModelError for an unknown name, NoKeyError, ConfigError.
    """
    config = read_config()
    full_name = resolve_alias(name, config)
    if is_built_in(full_name):
        return Target(full_name, full_name)
    provider, model = split_name(name, config)
    full_name = f"{provider}/{model}"
    endpoint = endpoint_of(provider, model, key, config=config)
    return target_at(endpoint, model, full_name, model_options(full_name, config))


def model_options(full_name: str, config: Config) -> dict[str, Any]:
    """Return the options of `[models."NAME".options]`, for every NAME that means the model
    `full_name` (PROVIDER/MODEL)."""
    options: dict[str, Any] = {}
    for name, table in config.models.items():
        try:
            meaning = name if name == full_name else "/".join(split_name(name, config))
        except NoModelError:
            continue
        if meaning == full_name:
            options.update(table.get("options", {}))
    return options


def split_name(name: str, config: Config) -> tuple[str, str]:
    """Return (provider, the provider's name of the model) for a model's name. Raises NoModelError."""
    original, name = name, resolve_alias(name, config)
    provider, slash, model = name.partition("/")
    if slash and model and provider in all_providers(config):
        return provider, model
    if not slash and (family := provider_of(name)):
        return family, name
    lists = load_model_names()
    holders = [provider for provider, names in lists.items() if name in names or f"{name}:latest" in names]
    holders = [holder for holder in holders if holder not in PROVIDERS or PROVIDERS[holder].twin not in holders]
    if len(holders) == 1:
        return holders[0], name
    if holders:
        choices = " or ".join(f"{holder}/{name}" for holder in holders)
        raise NoModelError(f"{name!r} can be {choices}: say which")
    raise NoModelError(_unknown_model(original, name, config, lists))


def resolve_alias(name: str, config: Config) -> str:
    """Return the name behind an alias; another name as it is. Raises ConfigError for a circle."""
    seen: list[str] = []
    while name in config.aliases:
        if name in seen:
            raise ConfigError(f"{config.path}: the alias {name} leads back to itself")
        seen.append(name)
        name = config.aliases[name]
    return name


def all_providers(config: Config) -> dict[str, Provider]:
    """Return the providers of the catalogue and the user's own, by name."""
    return {**PROVIDERS, **{name: find_provider(name, config) for name in config.providers}}


def find_provider(name: str, config: Config) -> Provider:
    """Return a provider of the catalogue with the changes of the configuration, or one of the user's own.

    Raises NoModelError for an unknown name.
    """
    settings, base = config.providers.get(name), PROVIDERS.get(name)
    if settings is None:
        if base is None:
            advice = did_you_mean(name, [*PROVIDERS, *config.providers], ": ")
            raise NoModelError(f"no provider is named {name!r}{advice}")
        return base
    if base is None:
        base = Provider(DEFAULT_PROTOCOL, "", key="own")
    key_env = settings.get("key_env", base.keys)
    return Provider(
        settings.get("protocol", base.protocol),
        settings.get("base_url", base.base_url),
        (key_env,) if isinstance(key_env, str) else tuple(key_env),
        base.quirks | frozenset(settings.get("quirks", ())),
        base.key,
        base.auth,
        base.url_variable,
        _list_path(base, settings),
        "" if "base_url" in settings else base.owner,
        base.start,
        base.pull,
        "" if "base_url" in settings or "key_env" in settings else base.twin,
    )


def _list_path(base: Provider, settings: dict[str, Any]) -> str:
    protocol = settings.get("protocol", base.protocol)
    if protocol == base.protocol:
        return base.models
    return next((other.models for other in PROVIDERS.values() if other.protocol == protocol and other.models), "")


def _unknown_model(original: str, name: str, config: Config, lists: dict[str, list[str]]) -> str:
    """Return the message for an unknown model. `name`: what `original` means, if it is an alias."""
    head, slash, model = name.partition("/")
    shown = f"{original!r}" if original == name else f"{original!r} ({name})"
    if head in all_providers(config):
        return f"{head} is a provider: name one of its models, {head}/MODEL (llm-models list {head}/)"
    aliases = [alias for alias in config.aliases if alias != original]
    names = [*aliases, *(f"{provider}/{model}" for provider, names in lists.items() for model in names)]
    similar = similar_names(name, [*names, *(model for models in lists.values() for model in models)])
    if slash and not similar:
        similar = [f"{provider}/{model}" for provider in similar_names(head, all_providers(config))]
    spelled = re.sub(r"(?<=[a-z])(?=\d)", "-", name.lower(), count=1)  # gpt5, GPT-5
    if not similar and (family := provider_of(spelled)):
        similar = [f"{family}/{spelled}"]
    family = provider_of(f"{name}-")
    if not similar and family:
        return f"no model is named {shown}: perhaps one of {family}'s (llm-models {family}/)"
    advice = (
        suggest(similar, ": ") or f" (llm-models lists them, {setting_name('--base-url', 'base_url')} asks any server)"
    )
    return f"no model is named {shown}{advice}"


def endpoint_of(name: str, model: str, key: Secret | None = None, *, config: Config) -> Endpoint:
    """Return the endpoint of a provider's model, with `key` or the provider's own key.

    Raises NoModelError, NoKeyError, ConfigError.
    """
    provider, settings = find_provider(name, config), config.providers.get(name, {})
    base_url, query = base_url_of(name, provider, settings, model)
    if key is None:
        key = keys.find_key(name, provider, settings, is_local=is_self_hosted(provider, base_url))
    headers = settings.get("headers", {})
    if key is not None or any(_SECRET.search(header) for header in headers):
        check_secrecy(base_url)
    auth = provider.auth if provider.auth[0] else load(provider.protocol).SPEC.key_header
    start, pull = (command.replace("{model}", model) for command in (provider.start, provider.pull))
    return Endpoint(name, base_url, provider.protocol, key, headers, provider.quirks, query, auth, start, pull)


def is_configured(name: str, config: Config) -> bool:
    """Whether the address of a provider is certain: not just the usual port of a local server."""
    provider = find_provider(name, config)
    return (
        name not in LOCAL_PROVIDERS
        or "base_url" in config.providers.get(name, {})
        or provider.url_variable in os.environ
    )
