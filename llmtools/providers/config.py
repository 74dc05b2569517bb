"""config.toml, the user's settings: read, checked, and changed in one step.

Rules:
* There is one file, `config.toml` in the platform's config directory; LLMTOOLS_CONFIG names another.
* The content is checked when it is read: an unknown key is an error that suggests similar ones,
  and every error names the line and the key.
* The file has no API keys: `key_env` and `key_command` say where they are.
* When a command sets a value, every other line and comment stays as it is. Writers take turns; a
  reader sees the old file or the new one.
* A file that another user can change is refused: it names commands to run, and where keys are sent.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field

from ..errors import ConfigError, UsageError
from ..http.endpoint import split_url
from ..paths import CONFIG_VARIABLE, config_file, lock_folder, write_file, wrong_owner
from ..protocols import DEFAULT_PROTOCOL, PROTOCOLS
from .catalogue import PROVIDERS, QUIRKS
from .names import RESERVED, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    Table = dict[str, Any]

_STRING, _STRINGS, _TOML_TABLE, _BOOLEAN = "a string", "a list of strings", "a table", "true or false"
_PROVIDER_TYPES = {
    "protocol": _STRING,
    "base_url": _STRING,
    "key_env": f"{_STRING} or {_STRINGS}",
    "key_command": _STRINGS,
    "headers": "a table of strings",
    "quirks": _STRINGS,
    "api_version": _STRING,
    "project": _STRING,
    "location": _STRING,
}
"""The settings of a provider, and their types."""
_MCP_TYPES = {name: _PROVIDER_TYPES[name] for name in ("key_env", "key_command", "headers")}
"""The settings of an MCP server, and their types."""

_KEY_ADVICE = "a key must not be in this file: key_env names its variable, key_command prints it, llm-keys keeps it"
_ADVICE = {"key": _KEY_ADVICE, "api_key": _KEY_ADVICE}


@dataclass(frozen=True, slots=True)
class Config:
    """The content of config.toml; empty if there is no such file."""

    path: str = ""
    default_model: str | None = None
    log: bool = False
    aliases: dict[str, str] = field(default_factory=dict)
    providers: dict[str, Table] = field(default_factory=dict)
    models: dict[str, Table] = field(default_factory=dict)
    tools: dict[str, list[str]] = field(default_factory=dict)
    mcp: dict[str, Table] = field(default_factory=dict)


# Reading


def read_config() -> Config:
    """Return the configuration. Raises ConfigError, with line and key, for invalid content."""
    path = config_file()
    try:
        data = _read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.environ.get(CONFIG_VARIABLE):
            advice = "llm-models default MODEL makes it"
            raise ConfigError(f"{CONFIG_VARIABLE} names {path}: no such file ({advice})") from None
        return Config(str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse_config(str(path), data)


def _read_bytes(path: Path) -> bytes:
    """Return the bytes of the configuration. Raises ConfigError for a file that another user can change."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        problem = wrong_owner(status) if stat.S_ISREG(status.st_mode) else ""
        if problem:
            raise ConfigError(f"{path} {problem}: it is not used (chmod go-w {path}, or chown it)")
        return file.read()


def parse_config(path: str, data: bytes) -> Config:
    """Return the configuration in the bytes of a file. `path`: for error messages. Raises ConfigError."""
    import tomllib

    text = _decode_text(path, data)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}{_describe_parse_error(error)}") from None
    return _Validator(path, text).validate(document)


def _decode_text(path: str, data: bytes) -> str:
    try:
        return data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path} line {line}: invalid UTF-8") from None


def _describe_parse_error(error: Exception) -> str:
    """Return the message of tomllib with the line first: ` line 3: Invalid value`."""
    text = str(error) or type(error).__name__
    match = re.fullmatch(r"(?s)(.*) \(at (line \d+), column \d+\)", text)
    return f" {match[2]}: {match[1]}" if match else f": {text}"


class _Validator:
    """Checks a document; every error names the line and the key."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def validate(self, document: Table) -> Config:
        tables = ("aliases", "providers", "models", "tools", "mcp")
        self._check_keys(document, (), ("default_model", "log", *tables))
        for name in tables:
            self._check_type(document.get(name, {}), _TOML_TABLE, (name,))
        default = document.get("default_model")
        if default is not None:
            self._check_type(default, _STRING, ("default_model",))
        self._check_type(document.get("log", False), _BOOLEAN, ("log",))
        for name, model in document.get("aliases", {}).items():
            self._check_type(model, _STRING, ("aliases", name))
            self._check_name(name, ("aliases", name))
        for name, table in document.get("providers", {}).items():
            self._check_provider(name, table)
        for name, table in document.get("models", {}).items():
            place = ("models", name)
            self._check_type(table, _TOML_TABLE, place)
            self._check_keys(table, place, ("options",))
            self._check_type(table.get("options", {}), _TOML_TABLE, (*place, "options"))
        for name, sources in document.get("tools", {}).items():
            self._check_type(sources, _STRINGS, ("tools", name))
        for url, table in document.get("mcp", {}).items():
            self._check_settings(table, ("mcp", url), _MCP_TYPES)
            if not url.startswith(("http://", "https://")):
                self._reject(("mcp", url), "must be the URL of an MCP server, as in mcp+https://…, without mcp+")
        return Config(self._path, default, document.get("log", False), *(document.get(name, {}) for name in tables))

    def _check_provider(self, name: str, table: Any) -> None:
        place = ("providers", name)
        self._check_settings(table, place, _PROVIDER_TYPES)
        self._check_name(name, place)
        if "base_url" in table:
            self._check_base_url(table["base_url"], (*place, "base_url"))
        elif name not in PROVIDERS:
            self._reject(place, "base_url is missing")
        self._check_keys({table.get("protocol", DEFAULT_PROTOCOL): None}, (*place, "protocol"), tuple(PROTOCOLS))
        for quirk in table.get("quirks", ()):
            self._check_keys({quirk: None}, (*place, "quirks"), tuple(QUIRKS))

    def _check_settings(self, table: Any, place: tuple[str, ...], types: dict[str, str]) -> None:
        """Check the settings of a table by their types, and its headers."""
        self._check_type(table, _TOML_TABLE, place)
        self._check_keys(table, place, tuple(types))
        for key, value in table.items():
            self._check_type(value, types[key], (*place, key))
        for header, value in table.get("headers", {}).items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", header) or not re.fullmatch(r"[\x20-\x7e]*", value):
                self._reject((*place, "headers", header), "is not a header: it must be visible ASCII")

    def _check_base_url(self, url: str, place: tuple[str, ...]) -> None:
        try:
            split_url(url)
        except UsageError as error:
            self._reject(place, error.message)

    def _check_name(self, name: str, place: tuple[str, ...]) -> None:
        if not name or "/" in name or name in RESERVED or not name.isprintable() or " " in name:
            self._reject(place, f"the name {name!r} cannot be used: it is empty, has a / or a space, or is reserved")

    def _check_keys(self, table: Table, place: tuple[str, ...], names: tuple[str, ...]) -> None:
        for key in table:
            if key not in names:
                advice = _ADVICE.get(key) or did_you_mean(key, names) or f"there are {', '.join(names)}"
                is_value = place[-1:] in (("protocol",), ("quirks",))
                self._reject(place if is_value else (*place, key), f"{key!r} is not known: {advice}")

    def _check_type(self, value: Any, kind: str, place: tuple[str, ...]) -> None:
        is_strings = isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
        is_right = {
            _STRING: isinstance(value, str),
            _STRINGS: is_strings,
            _TOML_TABLE: isinstance(value, dict),
            _BOOLEAN: isinstance(value, bool),
            f"{_STRING} or {_STRINGS}": isinstance(value, str) or is_strings,
            "a table of strings": isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
        }
        if not is_right[kind]:
            self._reject(place, f"must be {kind}")

    def _reject(self, place: tuple[str, ...], message: str) -> None:
        key = ".".join(name if re.fullmatch(r"[\w-]+", name) else f'"{name}"' for name in place)
        raise ConfigError(f"{self._path} line {self._line_of(place)}: {key}: {message}")

    def _line_of(self, place: tuple[str, ...]) -> int:
        """Return the first line at which the parsed document contains the key."""
        import tomllib

        lines = self._text.split("\n")
        before = 0
        for count in range(1, len(lines) + 1):
            try:
                value: Any = tomllib.loads("\n".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue
            for name in place:
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                return before + 1
            before = count
        return 1


# Writing


def set_value(place: tuple[str, ...], value: str | None) -> None:
    """Set a value of the configuration. `place`: its keys, such as ("aliases", "fast"). None removes it.

    Raises ConfigError if the file is invalid before or after the change, CreateError if it cannot be
    written.
    """
    from pathlib import Path

    path = Path(os.path.realpath(config_file()))
    with lock_folder(path.parent):
        try:
            data = _read_bytes(path)
            parse_config(str(path), data)
            text = data.decode().removeprefix("\ufeff")
        except (FileNotFoundError, NotADirectoryError):
            text = ""
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        new = _edit_document(text, place, value).encode()
        parse_config(str(path), new)
        write_file(path, new)


def _edit_document(text: str, place: tuple[str, ...], value: str | None) -> str:
    """Return the text of a configuration with one value changed. Raises ConfigError."""
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
