"""Python functions as tools: their `tool` records, their arguments, and their results.

Rules:
* A parameter without a type hint, or with one that only a type checker knows, accepts any value.
  One without a default is required.
* The description of the tool is the docstring up to its list of parameters. The description of a
  parameter comes from that list (Google's `Args:`, Sphinx's `:param name:`) or from
  `Annotated[T, "…"]`.
* A result that is a text stays as it is, None becomes "", bytes and images become attachments, and
  any other value becomes JSON.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import asdict, is_dataclass
from enum import Enum
from math import isfinite
from types import FunctionType
from typing import Any

from ..errors import InputError
from ..records.jsonl import dumps
from .calls import Result
from .hints import convert, hints_of, schema_of_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..records.types import Attachment, ToolRecord
    from .hints import Schema

_HEADING = re.compile(r"(Args|Arguments|Parameters|Params|Returns?|Yields?|Raises|Examples?|Notes?):\s*")
_PARAMETER_HEADINGS = ("Args", "Arguments", "Parameters", "Params")
_GOOGLE = re.compile(r"(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)")
_METHOD_TYPES = (FunctionType, staticmethod, classmethod)
_SPHINX = re.compile(r":param (?:[^:]* )?(\w+):\s*(.*)")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(_signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InputError(
                f"the tool {function.__name__}: {parameter.name} is positional-only; a model passes arguments by name"
            )
    return [parameter for parameter in parameters if parameter.kind in kinds]


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function, or of the one that its decorators wrap."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def _is_json_number(value: Any) -> bool:
    """Whether JSON can express a value: not if it is nan or inf."""
    return not isinstance(value, float) or isfinite(value)


def _has_var_keyword(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `**name`."""
    parameters = _signature(function).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def parse_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the description of a function, and the descriptions of its parameters, by name."""
    description: list[str] = []
    parameters: dict[str, list[str]] = {}
    section, name, margin = "", "", ""
    for line in (inspect.getdoc(function) or "").splitlines():
        if heading := _HEADING.fullmatch(line):
            section, name, margin = heading[1], "", ""
        elif sphinx := _SPHINX.match(line):
            section, name, margin = "Args", sphinx[1], line
            parameters[name] = [sphinx[2]]
        elif line.startswith(":"):
            section = "Returns"
        elif not section:
            description.append(line)
        elif section in _PARAMETER_HEADINGS and line.strip():
            google = _GOOGLE.fullmatch(line)
            if google and margin in ("", google[1]):
                margin, name = google[1], google[2]
                parameters[name] = [google[3]]
            elif name:
                parameters[name].append(line.strip())
    return "\n".join(description).strip(), {name: " ".join(lines).strip() for name, lines in parameters.items()}


def input_schema(function: Callable[..., Any]) -> Schema:
    """Return the JSON Schema of the arguments of a function. Raises InputError for a positional-only parameter."""
    return _schema_and_notices(function)[0]


def _schema_and_notices(function: Callable[..., Any]) -> tuple[Schema, list[str]]:
    """Return the schema of the arguments, and which parameters accept any value because of their hints."""
    _, descriptions = parse_docstring(function)
    hints, problems = _parameter_hints(function)
    properties: dict[str, Schema] = {}
    required: list[str] = []
    shared: dict[str, Any] = {}
    for parameter in _parameters(function):
        name = parameter.name
        try:
            schema = _hoist_definitions(schema_of_hint(hints.get(name, Any)), shared)
        except RecursionError:
            schema, problems[name] = {}, "it contains itself"
        except InputError:
            raise
        except Exception as error:  # pydantic has no schema for some types
            schema, problems[name] = {}, f"{error}".partition("\n")[0]
        if name in descriptions and "description" not in schema:
            schema = {**schema, "description": descriptions[name]}
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
        elif isinstance(parameter.default, (str, int, float, bool)) and _is_json_number(parameter.default):
            schema = {**schema, "default": parameter.default}
        properties[name] = schema
    whole = {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        **({} if _has_var_keyword(function) else {"additionalProperties": False}),
        **({"$defs": shared} if shared else {}),
    }
    about = {name: problem for name, problem in problems.items() if name in properties}
    return whole, [f"{name} accepts any value, as its type has no schema: {problem}" for name, problem in about.items()]


def _parameter_hints(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the type hints of the parameters, and of those that cannot be evaluated, why not."""
    unwrapped: Any = inspect.unwrap(function)
    return hints_of(unwrapped, getattr(unwrapped, "__globals__", {}))


def _hoist_definitions(schema: Any, shared: dict[str, Any]) -> Any:
    """Return a schema without its inner `$defs`, which move to `shared`, the top-level `$defs` that
    each `$ref` means. Raises InputError for two definitions of one name."""
    if isinstance(schema, list):
        return [_hoist_definitions(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    for name, inner in schema.get("$defs", {}).items():
        if shared.setdefault(name, inner) != inner:
            raise InputError(f"two types are named {name}")
    return {name: _hoist_definitions(value, shared) for name, value in schema.items() if name != "$defs"}


def tool_record(function: Callable[..., Any], name: str | None = None) -> ToolRecord:
    """Return the `tool` record of a function. Raises InputError for one that no model can call.

    def add(a: int, b: int) -> int:
        "Add two numbers."
        return a + b

    tool_record(add)["input_schema"]["required"]  # ["a", "b"]
    """
    return record_and_notices(function, name)[0]


def record_and_notices(function: Callable[..., Any], name: str | None = None) -> tuple[ToolRecord, list[str]]:
    """Return the `tool` record of a function, as `tool_record` does, and what the user should know of it."""
    description, _ = parse_docstring(function)
    record: ToolRecord = {"type": "tool", "name": name or function.__name__}
    if description:
        record["description"] = description
    record["input_schema"], notices = _schema_and_notices(function)
    return record, [f"the tool {record['name']}: {notice}" for notice in notices]


def values_of(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return JSON arguments converted to the types that the hints of the function name.

    Raises InputError if an argument cannot be converted.
    """
    hints, _ = _parameter_hints(function)
    values = {}
    for name, value in arguments.items():
        try:
            values[name] = convert(value, hints.get(name, Any))
        except (ValueError, TypeError, InputError) as error:  # pydantic's ValidationError is a ValueError
            raise InputError(f"{name}: {error}") from None
    return values


def call_sync(function: Callable[..., Any], *positional: Any, **values: Any) -> Any:
    """Call a function in this thread and return its result. An awaitable runs in its own event loop."""
    result = function(*positional, **values)
    if not inspect.isawaitable(result):
        return result
    from asyncio import run
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:  # a loop may already run in this thread
        return pool.submit(run, await_if_needed(result)).result()


async def call_async(function: Callable[..., Any], *positional: Any, **values: Any) -> Any:
    """Call a function and return its result: a coroutine function in this event loop, any other
    function in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*positional, **values)
    from asyncio import to_thread

    def run() -> Any:
        try:
            return function(*positional, **values)
        except StopIteration:  # a future does not accept it, and the caller would wait for ever
            raise RuntimeError("the function raised StopIteration") from None

    return await await_if_needed(await to_thread(run))


async def await_if_needed(value: Any) -> Any:
    """Return a value or, for an awaitable, its result."""
    return await value if inspect.isawaitable(value) else value


def methods_of(box: object) -> dict[str, Callable[..., Any]]:
    """Return the methods of a toolbox that are tools, by the names for the model, Class_method: the
    public ones, without those of Toolbox itself."""
    cls = type(box)
    own = [each for each in cls.__mro__ if each.__name__ != "Toolbox"]
    common = {name for each in cls.__mro__ if each.__name__ == "Toolbox" for name in dir(each)}
    names = dict.fromkeys(name for each in own for name in vars(each) if name not in common)
    return {
        f"{cls.__name__}_{name}": getattr(box, name)
        for name in names
        if not name.startswith("_") and isinstance(inspect.getattr_static(cls, name), _METHOD_TYPES)
    }


def result_of(value: Any) -> Result:
    """Return the value that a function returned as the result of a call.

    Raises InputError for a value that cannot be written as JSON.
    """
    if isinstance(value, Result):
        return value
    if value is None or isinstance(value, str):
        return Result(value or "")
    if isinstance(value, (bytes, bytearray)):
        return Result(attachments=[_to_attachment(bytes(value))])
    if _is_image(value):
        return Result(attachments=[_to_attachment(_encode_png(value))])
    if isinstance(value, (list, tuple)) and any(
        isinstance(item, (bytes, bytearray)) or _is_image(item) for item in value
    ):
        parts = [result_of(item) for item in value]
        texts = [part.output for part in parts if part.output]
        return Result("\n".join(texts), None, [item for part in parts for item in part.attachments])
    return Result(dumps(_to_json(value)).decode())


def _is_image(value: Any) -> bool:
    """Whether a value is a Pillow image."""
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def _encode_png(image: Any) -> bytes:
    from io import BytesIO

    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _to_attachment(data: bytes) -> Attachment:
    from ..attachment import from_bytes

    return from_bytes(data)


def _to_json(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return _to_json(asdict(value))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name if isinstance(name, str) else str(name): _to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_to_json(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
