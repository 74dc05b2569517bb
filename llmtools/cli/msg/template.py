"""Templates of llm-msg: messages with fields to fill in.

Rules:
* A template is TOML (`system`, `prompt`, `model`, `options`, `schema` … see `TEMPLATE_KEYS`), plain text, which
  is its prompt, or YAML as llm writes it, where PyYAML is installed.
* `$name` in system and prompt is a field (`$$` is a dollar sign). `$input` is the TEXT of llm-msg;
  TEXT is appended to a prompt without `$input`. A field without a value is refused.
* A name is a file beside config.toml in `templates`, then an executable llm-template-NAME, which prints a
  template; NAME:ARG gives it an argument. With a slash it is a path: a file of the current directory
  never takes the place of the user's own template.
* A template that is not in the user's directory may be of another person. It adds only files of the
  current directory and its own, and llm-msg says which.
* Model, options, schema, reasoning and tool choice go into the `request` of the message, and so to
  llm-send.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from string import Template as Text
from typing import Any

from ...errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    UsageError,
)
from ...files import read_file
from ...media_type import text_of_bytes
from ...records.check import check_record
from ...records.jsonl import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...records.types import Record

_TEXT, _TABLE, _TEXTS, _TABLES = "a string", "a table", "a list of strings", "a list of tables"
TEMPLATE_KEYS: dict[str, tuple[str, ...]] = {
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
"""Key -> the types that its value may have."""
LEFT_OUT = {
    "tools": "llm-tools offers those of a source",
    "functions": "llm-tools offers those of a file",
    "extract": "llm-parts --extract takes the first code block",
    "extract_last": "llm-parts --xl takes the last code block",
    "system_fragments": "write them into system",
    "attachment_types": "the type of an attachment is found from its bytes",
}
"""Key of llm's templates -> what does the same here, where a template cannot."""
_LOADER = re.compile("[A-Za-z0-9][A-Za-z0-9_-]*:")
ENDINGS = ("", ".toml", ".txt", ".md", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Template:
    """A template: `fields` are its keys, `left_out` says which keys of llm's have no effect here, and
    `added` are the fragments and attachments of one that is not the user's own."""

    name: str
    fields: Mapping[str, Any]
    left_out: tuple[str, ...] = field(default=())
    added: tuple[str, ...] = field(default=())

    def variables(self) -> set[str]:
        """Return the names of the `$name` fields."""
        return {name for key in ("system", "prompt") for name in _names(self.fields.get(key, ""))}

    def fill(self, key: str, values: Mapping[str, str], text: str | None) -> str | None:
        """Return the system text or the prompt with its fields filled in; None where the template has none.

        Raises UsageError for a field without a value, and a value without a field.
        """
        known = self.variables()
        if wrong := [name for name in values if name not in known]:
            has = f"there are {', '.join(sorted(known))}" if known else "it has none"
            raise UsageError(f"the template {self.name} has no field {wrong[0]}: {has}")
        if key not in self.fields:
            return None
        options = {**{name: str(value) for name, value in self.fields.get("defaults", {}).items()}, **values}
        if text is not None:
            options["input"] = text
        missing = [name for name in _names(self.fields[key]) if name not in options]
        if missing:
            advice = "give TEXT" if missing[0] == "input" else f"give -p {missing[0]} VALUE"
            raise UsageError(f"the template {self.name} has a field {missing[0]}: {advice}")
        return Text(self.fields[key]).substitute(options)

    def text(self, values: Mapping[str, str], text: str | None) -> str | None:
        """Return the text of the message. TEXT is appended to a prompt without `$input`."""
        prompt = self.fill("prompt", values, text)
        if prompt is None or text is None or "input" in self.variables():
            return text if prompt is None else prompt
        return f"{prompt.rstrip()}\n\n{text}"

    def request(self) -> dict[str, Any]:
        """Return the `request` of the message."""
        names = ("model", "options", "schema", "reasoning", "tool_choice")
        return {name: self.fields[name] for name in names if self.fields.get(name)}

    def tools(self) -> list[Record]:
        """Return the `tool` records."""
        return [{"type": "tool", **tool} for tool in self.fields.get("tools", ())]


def _names(text: str) -> list[str]:
    return Text(text).get_identifiers()


def load_template(name: str) -> Template:
    """Return the template of that name.

    Raises NoInputError for a template that does not exist, InputError for one that is wrong.
    """
    from ...paths import config_file
    from ...providers.names import did_you_mean

    folder = config_file().parent / "templates"
    is_path = os.sep in name and not _LOADER.match(name)
    for place in [name] if is_path else [str(folder / (name + ending)) for ending in ENDINGS if name]:
        if os.path.isfile(place):
            home = os.path.dirname(place) if is_path else None
            return parse_template(name, read_file(place), os.path.splitext(place)[1], home)
    if is_path:
        raise NoInputError(f"no template {name!r}: no such file")
    program, colon, argument = name.partition(":")
    output = _run_program(program, [argument] if colon else [])
    if output is not None:
        return parse_template(name, output, "", "")
    advice = did_you_mean(name, _template_names(folder), "; ")
    if name and os.path.isfile(name):
        advice = f"; ./{name} is the file of this directory"
    raise NoInputError(f"no template {name!r}: none in {folder}, no llm-template-{program}{advice}")


def _template_names(folder: Path) -> list[str]:
    try:
        return [os.path.splitext(each)[0] for each in sorted(os.listdir(folder))]
    except OSError:
        return []


def _run_program(name: str, arguments: list[str]) -> bytes | None:
    """Return the output of llm-template-NAME; None if it is not on PATH."""
    import shutil
    import subprocess

    program = shutil.which(f"llm-template-{name}") if name and os.sep not in name else None
    if program is None:
        return None
    process = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if process.returncode:
        raise LlmToolsError(f"llm-template-{name} failed with status {process.returncode}")
    return process.stdout


def parse_template(name: str, data: bytes, ending: str, folder: str | None = None) -> Template:
    """Return the template in the bytes of a file, by the ending of its name. Without an ending it is
    TOML if it can be read as TOML, else text.

    folder: the directory of a template that is not the user's own; None: it may add any file. Raises
    InputError.
    """
    text = text_of_bytes(data, f"the template {name}")
    if ending in (".yaml", ".yml"):
        return _from_llm(name, _yaml(name, text), folder)
    if ending in (".toml", ""):
        import tomllib

        try:
            return _checked_template(name, tomllib.loads(text), folder)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            if ending:
                raise InputError(f"the template {name}: {error}") from None
    return _checked_template(name, {"prompt": text.removesuffix("\n")}, folder)


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


def _from_llm(name: str, document: Any, folder: str | None) -> Template:
    """Return a template of llm's. A document that is a string is the prompt."""
    if isinstance(document, str):
        document = {"prompt": document}
    if not isinstance(document, dict):
        raise InputError(f"the template {name}: must be a table or a string")
    fields = {key: value for key, value in document.items() if value is not None}
    if "schema_object" in fields:
        fields["schema"] = fields.pop("schema_object")
    left_out = [key for key in fields if key in LEFT_OUT]
    template = _checked_template(name, {key: value for key, value in fields.items() if key not in LEFT_OUT}, folder)
    notes = tuple(f"the template {name}: {key} is left out: {LEFT_OUT[key]}" for key in left_out)
    return Template(name, template.fields, notes, template.added)


def _checked_template(name: str, fields: dict[str, Any], folder: str | None) -> Template:
    """Return the template, checked. Raises InputError."""
    try:
        dumps(fields)  # YAML and TOML hold more than JSON does
        _check_fields(fields)
        added = () if folder is None else (*fields.get("fragments", ()), *fields.get("attachments", ()))
        if folder is not None:
            _check_files([*added, fields.get("schema")], folder)
        if "schema" in fields:
            from ...schema import schema_from_text

            schema = fields["schema"] if isinstance(fields["schema"], str) else dumps(fields["schema"]).decode()
            fields = {**fields, "schema": schema_from_text(schema)}
    except (InputError, UsageError, NoInputError) as error:
        raise InputError(f"the template {name}: {error.message.replace('--schema', 'schema')}") from None
    return Template(name, fields, added=added)


def _check_files(sources: list[Any], folder: str) -> None:
    """Raise InputError for a file that is neither in the current directory nor in `folder`."""
    places = [os.path.realpath(each) for each in (os.curdir, folder)]
    for source in sources:
        is_file = isinstance(source, str) and (os.path.exists(source) or not _LOADER.match(source))
        if is_file and not any(os.path.commonpath([os.path.realpath(source), place]) == place for place in places):
            raise InputError(f"{source} is neither in the current directory nor in that of the template")


def _check_fields(fields: dict[str, Any]) -> None:
    from ...providers.names import did_you_mean

    for key, value in fields.items():
        if key not in TEMPLATE_KEYS:
            advice = did_you_mean(key, TEMPLATE_KEYS) or f"there are {', '.join(TEMPLATE_KEYS)}"
            raise InputError(f"{key!r} is not known: {advice}")
        if not any(_is(value, kind) for kind in TEMPLATE_KEYS[key]):
            raise InputError(f"{key} must be {' or '.join(TEMPLATE_KEYS[key])}")
    for key in ("system", "prompt"):
        if not Text(fields.get(key, "")).is_valid():
            raise InputError(f"{key}: a $ that begins no field is written $$")
    for tool in fields.get("tools", ()):
        check_record({"type": "tool", **tool})


def _is(value: Any, kind: str) -> bool:
    items = value if isinstance(value, list) else []
    return {
        _TEXT: isinstance(value, str),
        _TABLE: isinstance(value, dict),
        _TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in items),
        _TABLES: isinstance(value, list) and all(isinstance(item, dict) for item in items),
    }[kind]
