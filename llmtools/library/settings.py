"""The user's settings from Python: the default model, aliases, keys. They are those of the commands."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ..providers.config import Config


def _config() -> Config:
    """Return the configuration; an empty one where LLMTOOLS_CONFIG names a file that is still to be made."""
    from ..paths import CONFIG_VARIABLE, config_file
    from ..providers.config import Config, read_config

    path = config_file()
    return Config(str(path)) if os.environ.get(CONFIG_VARIABLE) and not path.exists() else read_config()


def user_dir() -> Path:
    """Return the directory of the configuration, which is made if needed.

    (llmtools.user_dir() / "config.toml").name  # "config.toml"
    """
    from ..paths import config_file

    folder = config_file().parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def get_default_model(default: str | None = None) -> str | None:
    """Return the name of the default model: LLMTOOLS_MODEL, else the configured one, else `default`.

    Raises ConfigError.

        llmtools.get_default_model(default="echo")  # "echo"
    """
    return os.environ.get("LLMTOOLS_MODEL") or _config().default_model or default


def set_default_model(model: str | None) -> None:
    """Set the default model of all commands and programs; None removes it. Raises ConfigError.

    llmtools.set_default_model("openai/gpt-5.5")
    """
    from ..providers.config import set_value

    set_value(("default_model",), model)


def set_alias(alias: str, model: str) -> None:
    """Set another name for a model; `model` may be an alias itself. Raises ConfigError.

    llmtools.set_alias("fast", "groq/llama-3.3-70b-versatile")
    """
    from ..providers.config import set_value
    from ..providers.resolve import resolve_alias

    set_value(("aliases", alias), resolve_alias(model, _config()))


def remove_alias(alias: str) -> None:
    """Remove an alias. Raises KeyError if there is none, ConfigError.

    llmtools.set_alias("slow", "echo")
    llmtools.remove_alias("slow")
    """
    from ..providers.config import set_value

    if alias not in _config().aliases:
        raise KeyError(f"no alias is named {alias!r}")
    set_value(("aliases", alias), None)


def get_key(
    explicit_key: str | None = None,
    key_alias: str | None = None,
    env_var: str | None = None,
    *,
    alias: str | None = None,
    env: str | None = None,
    input: str | None = None,
) -> str | None:
    """Return a key; None if there is none.

    input: a key, or the name of one that `llm-keys` keeps. alias: the name of a kept key. env: a
    variable, which is read last. The positional parameters are the same three, as llm has them.

    Raises NoKeyError for a kept key that cannot be read.

        llmtools.get_key(input="sk-1", alias="openai")  # "sk-1"
    """
    from ..providers.keychain import key_names

    given, name, variable = input or explicit_key, alias or key_alias, env or env_var
    names = key_names()
    if given:
        return _kept_key(given) if given in names else given
    if name and name in names:
        return _kept_key(name)
    return os.environ.get(variable) or None if variable else None


def _kept_key(name: str) -> str | None:
    from ..errors import NoKeyError
    from ..providers.keychain import KeyringError, get_key

    try:
        answer = get_key(name)
    except KeyringError as error:
        raise NoKeyError(f"no key for {name}: {error}") from None
    return answer[0] if answer else None
