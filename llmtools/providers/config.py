"""config.toml: what the user has settled, read when it is needed and written in one step.

Rules:
* One file, `config.toml` in the platform's config directory; LLMTOOLS_CONFIG names another.
* What the file says is checked where it is read: an unknown key is refused, with the names
  that are near it, and every complaint names the line and the key.
* A key (of a provider's) never stands in it: `key_env` and `key_command` say where it is.
* A value that a command sets leaves every comment and line of the user's as it was. Writers
  take turns; a reader sees the old file or the new one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ..errors import ConfigError, UsageError
from ..http.endpoint import split_url
from ..paths import CONFIG_VARIABLE, config_file, lock_folder, write_file
from ..protocols import DEFAULT_PROTOCOL, PROTOCOLS
from .catalogue import PROVIDERS, QUIRKS
from .names import RESERVED, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Table = dict[str, Any]

_TEXT, _TEXTS, _TABLE, _FLAG = "a string", "a list of strings", "a table", "true or false"
_PROVIDER = {
    "protocol": _TEXT,
    "base_url": _TEXT,
    "key_env": f"{_TEXT} or {_TEXTS}",
    "key_command": _TEXTS,
    "headers": "a table of strings",
    "quirks": _TEXTS,
    "api_version": _TEXT,
    "project": _TEXT,
    "location": _TEXT,
}
"""The keys of a provider's table, and what each must be."""

_NO_KEY = "a key does not stand in this file: key_env names its variable, key_command prints it, llm-keys keeps it"
_HINTS = {"key": _NO_KEY, "api_key": _NO_KEY}


@dataclass(frozen=True, slots=True)
class Config:
    """What config.toml says; empty where there is none."""

    path: str = ""
    default_model: str | None = None
    log: bool = False
    aliases: dict[str, str] = field(default_factory=dict)
    providers: dict[str, Table] = field(default_factory=dict)
    models: dict[str, Table] = field(default_factory=dict)
    tools: dict[str, list[str]] = field(default_factory=dict)


# Reading


def read() -> Config:
    """Return the configuration. Raises ConfigError, with line and key, for what it must not say."""
    path = config_file()
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if os.environ.get(CONFIG_VARIABLE):
            raise ConfigError(
                f"{CONFIG_VARIABLE} names {path}, which is not there (llm-models default MODEL makes it)"
            ) from None
        return Config(str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse(str(path), data)


def parse(path: str, data: bytes) -> Config:
    """Return what the bytes of a configuration say. Raises ConfigError."""
    import tomllib

    text = _text(path, data)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}{_told(error)}") from None
    return _Reader(path, text).config(document)


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path} line {line}: invalid UTF-8") from None


def _told(error: Exception) -> str:
    """Return what the parser says, its place first: ` line 3: Invalid value`."""
    said = str(error) or type(error).__name__
    found = re.fullmatch(r"(?s)(.*) \(at (line \d+), column \d+\)", said)
    return f" {found[2]}: {found[1]}" if found else f": {said}"


class _Reader:
    """Checks a document; every complaint names the line."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def config(self, document: Table) -> Config:
        tables = ("aliases", "providers", "models", "tools")
        self._known(document, (), ("default_model", "log", *tables))
        for name in tables:
            self._is(document.get(name, {}), _TABLE, (name,))
        default = document.get("default_model")
        if default is not None:
            self._is(default, _TEXT, ("default_model",))
        self._is(document.get("log", False), _FLAG, ("log",))
        for name, model in document.get("aliases", {}).items():
            self._is(model, _TEXT, ("aliases", name))
            self._name(name, ("aliases", name))
        for name, table in document.get("providers", {}).items():
            self._provider(name, table)
        for name, table in document.get("models", {}).items():
            place = ("models", name)
            self._is(table, _TABLE, place)
            self._known(table, place, ("options",))
            self._is(table.get("options", {}), _TABLE, (*place, "options"))
        for name, sources in document.get("tools", {}).items():
            self._is(sources, _TEXTS, ("tools", name))
        return Config(self._path, default, document.get("log", False), *(document.get(name, {}) for name in tables))

    def _provider(self, name: str, table: Any) -> None:
        place = ("providers", name)
        self._is(table, _TABLE, place)
        self._name(name, place)
        self._known(table, place, tuple(_PROVIDER))
        for key, value in table.items():
            self._is(value, _PROVIDER[key], (*place, key))
        if "base_url" in table:
            self._base_url(table["base_url"], (*place, "base_url"))
        elif name not in PROVIDERS:
            self._fail(place, "base_url is missing")
        self._known({table.get("protocol", DEFAULT_PROTOCOL): None}, (*place, "protocol"), tuple(PROTOCOLS))
        for quirk in table.get("quirks", ()):
            self._known({quirk: None}, (*place, "quirks"), tuple(QUIRKS))
        for header, value in table.get("headers", {}).items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", header) or not re.fullmatch(r"[\x20-\x7e]*", value):
                self._fail((*place, "headers", header), "is no header: visible ASCII is")

    def _base_url(self, url: str, place: tuple[str, ...]) -> None:
        try:
            split_url(url)
        except UsageError as error:
            self._fail(place, error.message)

    def _name(self, name: str, place: tuple[str, ...]) -> None:
        if not name or "/" in name or name in RESERVED or not name.isprintable() or " " in name:
            self._fail(place, f"the name {name!r} cannot be used: it is empty, has a / or a space in it, or is taken")

    def _known(self, table: Table, place: tuple[str, ...], names: tuple[str, ...]) -> None:
        for key in table:
            if key not in names:
                said = _HINTS.get(key) or did_you_mean(key, names) or f"there are {', '.join(names)}"
                is_value = place[-1:] in (("protocol",), ("quirks",))
                self._fail(place if is_value else (*place, key), f"{key!r} is not known: {said}")

    def _is(self, value: Any, kind: str, place: tuple[str, ...]) -> None:
        is_texts = isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
        is_right = {
            _TEXT: isinstance(value, str),
            _TEXTS: is_texts,
            _TABLE: isinstance(value, dict),
            _FLAG: isinstance(value, bool),
            f"{_TEXT} or {_TEXTS}": isinstance(value, str) or is_texts,
            "a table of strings": isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
        }
        if not is_right[kind]:
            self._fail(place, f"must be {kind}")

    def _fail(self, place: tuple[str, ...], message: str) -> None:
        key = ".".join(name if re.fullmatch(r"[\w-]+", name) else f'"{name}"' for name in place)
        raise ConfigError(f"{self._path} line {self._line(place)}: {key}: {message}")

    def _line(self, place: tuple[str, ...]) -> int:
        """Return the line on which a key begins: the one that, added to those before it, makes it be there."""
        import tomllib

        lines = self._text.split("\n")
        before = 0
        for count in range(1, len(lines) + 1):
            try:
                found: Any = tomllib.loads("\n".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue
            for name in place:
                found = found.get(name) if isinstance(found, dict) else None
            if found is not None:
                return before + 1
            before = count
        return 1


# Writing


def put(place: tuple[str, ...], value: str | None) -> None:
    """Set one value of the configuration, such as ("aliases", "fast"); None takes it away.

    Raises ConfigError where what is there, or would be there, is not right; CreateError
    where it cannot be written.
    """
    from pathlib import Path

    path = Path(os.path.realpath(config_file()))
    with lock_folder(path.parent):
        try:
            data = path.read_bytes()
            parse(str(path), data)
            text = data.decode().removeprefix("\ufeff")
        except (FileNotFoundError, NotADirectoryError):
            text = ""
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        new = _edited(text, place, value).encode()
        parse(str(path), new)
        write_file(path, new)


def _edited(text: str, place: tuple[str, ...], value: str | None) -> str:
    """Return the text of a configuration with one value other than it was."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        table: Any = document
        for name in place[:-1]:
            if name not in table:
                table[name] = tomlkit.table()
            table = table[name]
        if value is None:
            table.pop(place[-1], None)
        else:
            table[place[-1]] = value
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ConfigError(f"{'.'.join(place)} cannot be set: {error}") from None
