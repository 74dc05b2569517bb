"""Templates of llm-msg: what is asked again and again, with fields to fill in.

Rules:
* A template is TOML (`system`, `prompt`, `model`, `options`, `schema` … see `KEYS`), plain text, which
  is its prompt, or YAML as llm writes it, where PyYAML is installed.
* `$name` in system and prompt is a field (`$$` a dollar sign); `$input` is the TEXT of llm-msg, which
  stands behind a prompt that has no place for it. A field that nothing fills is refused.
* A name is a path, then a file beside config.toml in `templates`, then an executable
  llm-template-NAME, which prints a template; NAME:ARG gives it an argument.
* How it wants to be answered stands in the `request` of the message: it goes where the message goes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from string import Template as Text
from typing import Any

from ...attachment import read_file, text_from
from ...errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    UsageError,
)
from ...records.check import check_record
from ...records.jsonl import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...records.types import Record

_TEXT, _TABLE, _TEXTS, _TABLES = "a string", "a table", "a list of strings", "a list of tables"
KEYS: dict[str, tuple[str, ...]] = {
    "name": (_TEXT,),
    "system": (_TEXT,),
    "prompt": (_TEXT,),
    "model": (_TEXT,),
    "reasoning": (_TEXT,),
    "tool_choice": (_TEXT,),
    "schema": (_TEXT, _TABLE),
    "options": (_TABLE,),
    "defaults": (_TABLE,),
    "fragments": (_TEXTS,),
    "attachments": (_TEXTS,),
    "tools": (_TABLES,),
}
"""Key -> what it must be."""
LEFT_OUT = {
    "tools": "llm-tools offers those of a source",
    "functions": "llm-tools offers those of a file",
    "extract": "llm-parts --extract takes the first code block",
    "extract_last": "llm-parts --xl takes the last code block",
    "system_fragments": "they are to be written into system",
    "attachment_types": "attachments are of the type that they are",
}
"""Key of llm's -> what does that here, where a template cannot."""
ENDINGS = ("", ".toml", ".txt", ".md", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Template:
    """What a template says; `left_out` is what of llm's it cannot say here."""

    name: str
    said: Mapping[str, Any]
    left_out: tuple[str, ...] = field(default=())

    def fields(self) -> set[str]:
        """Return the names of the fields."""
        return {name for key in ("system", "prompt") for name in _names(self.said.get(key, ""))}

    def fill(self, key: str, values: Mapping[str, str], text: str | None) -> str | None:
        """Return the system or the prompt, filled in; None where there is none.

        Raises UsageError for a field without a value, and a value without a field.
        """
        known = self.fields()
        if wrong := [name for name in values if name not in known]:
            has = f"there are {', '.join(sorted(known))}" if known else "it has none"
            raise UsageError(f"the template {self.name} has no field {wrong[0]}: {has}")
        if key not in self.said:
            return None
        given = {**{name: str(value) for name, value in self.said.get("defaults", {}).items()}, **values}
        if text is not None:
            given["input"] = text
        missing = [name for name in _names(self.said[key]) if name not in given]
        if missing:
            advice = "give TEXT" if missing[0] == "input" else f"give -p {missing[0]} VALUE"
            raise UsageError(f"the template {self.name} has a field {missing[0]}: {advice}")
        return Text(self.said[key]).substitute(given)

    def text(self, values: Mapping[str, str], text: str | None) -> str | None:
        """Return the text of the message; TEXT stands behind a prompt that has no place for it."""
        prompt = self.fill("prompt", values, text)
        if prompt is None or text is None or "input" in self.fields():
            return text if prompt is None else prompt
        return f"{prompt.rstrip()}\n\n{text}"

    def request(self) -> dict[str, Any]:
        """Return how it wants to be answered, as the `request` of a message."""
        names = ("model", "options", "schema", "reasoning", "tool_choice")
        return {name: self.said[name] for name in names if self.said.get(name)}

    def tools(self) -> list[Record]:
        """Return the `tool` records."""
        return [{"type": "tool", **tool} for tool in self.said.get("tools", ())]


def _names(text: str) -> list[str]:
    return Text(text).get_identifiers()


def load(name: str) -> Template:
    """Return the template that a name means.

    Raises NoInputError where there is none, InputError for what is none.
    """
    from ...paths import config_file
    from ...providers.names import did_you_mean

    folder = config_file().parent / "templates"
    places = [name, *(str(folder / (name + ending)) for ending in ENDINGS)] if name else []
    for place in places:
        if os.path.isfile(place):
            return parse(name, read_file(place), os.path.splitext(place)[1])
    program, colon, argument = name.partition(":")
    printed = _printed(program, [argument] if colon else [])
    if printed is not None:
        return parse(name, printed, "")
    advice = did_you_mean(name, _listed(folder), "; ")
    raise NoInputError(f"no template {name!r}: no such file, none in {folder}, no llm-template-{program}{advice}")


def _listed(folder: Path) -> list[str]:
    try:
        return [os.path.splitext(each)[0] for each in sorted(os.listdir(folder))]
    except OSError:
        return []


def _printed(name: str, arguments: list[str]) -> bytes | None:
    """Return what llm-template-NAME prints; None where there is none on PATH."""
    import shutil
    import subprocess

    program = shutil.which(f"llm-template-{name}") if name and os.sep not in name else None
    if program is None:
        return None
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise LlmToolsError(f"llm-template-{name} failed with status {done.returncode}")
    return done.stdout


def parse(name: str, data: bytes, ending: str) -> Template:
    """Return the template that bytes are, by the ending of their file's name; without one TOML
    where they are that, else text. Raises InputError."""
    text = text_from(data, f"the template {name}")
    if ending in (".yaml", ".yml"):
        return _from_llm(name, _yaml(name, text))
    if ending in (".toml", ""):
        import tomllib

        try:
            return _checked(name, tomllib.loads(text))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            if ending:
                raise InputError(f"the template {name}: {error}") from None
    return _checked(name, {"prompt": text.removesuffix("\n")})


def _yaml(name: str, text: str) -> Any:
    from importlib import import_module

    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        raise InputError(f"the template {name} is YAML, which needs PyYAML: pip install pyyaml") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"the template {name}: {' '.join(str(error).split())}") from None


def _from_llm(name: str, document: Any) -> Template:
    """Return what llm's template says: a string is its prompt."""
    if isinstance(document, str):
        document = {"prompt": document}
    if not isinstance(document, dict):
        raise InputError(f"the template {name}: must be a table or a string")
    said = {key: value for key, value in document.items() if value is not None}
    if "schema_object" in said:
        said["schema"] = said.pop("schema_object")
    left_out = [key for key in said if key in LEFT_OUT]
    checked = _checked(name, {key: value for key, value in said.items() if key not in LEFT_OUT})
    notes = tuple(f"the template {name}: {key} is left out: {LEFT_OUT[key]}" for key in left_out)
    return Template(name, checked.said, notes)


def _checked(name: str, said: dict[str, Any]) -> Template:
    """Refuse what no template says. Raises InputError."""
    try:
        dumps(said)  # YAML and TOML hold more than JSON does
        _check(said)
        if isinstance(said.get("schema"), str):
            from ...schema import from_text

            said = {**said, "schema": from_text(said["schema"])}
    except (InputError, UsageError, NoInputError) as error:
        raise InputError(f"the template {name}: {error.message.replace('--schema', 'schema')}") from None
    return Template(name, said)


def _check(said: dict[str, Any]) -> None:
    from ...providers.names import did_you_mean

    for key, value in said.items():
        if key not in KEYS:
            advice = did_you_mean(key, KEYS) or f"there are {', '.join(KEYS)}"
            raise InputError(f"{key!r} is not known: {advice}")
        if not any(_is(value, kind) for kind in KEYS[key]):
            raise InputError(f"{key} must be {' or '.join(KEYS[key])}")
    for key in ("system", "prompt"):
        if not Text(said.get(key, "")).is_valid():
            raise InputError(f"{key}: a $ that begins no field is written $$")
    for tool in said.get("tools", ()):
        check_record({"type": "tool", **tool})


def _is(value: Any, kind: str) -> bool:
    items = value if isinstance(value, list) else []
    return {
        _TEXT: isinstance(value, str),
        _TABLE: isinstance(value, dict),
        _TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in items),
        _TABLES: isinstance(value, list) and all(isinstance(item, dict) for item in items),
    }[kind]
