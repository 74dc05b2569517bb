"""Python functions as tools: the `tool` record of one, the call of one, and its result.

Rules:
* A parameter without a type takes anything; one without a default is required.
* The description is the docstring up to its list of parameters; what that list (Google's
  `Args:`, Sphinx's `:param name:`) or `Annotated[T, "…"]` says of one describes it.
* A result is text as it is, nothing as "", bytes and images as attachments, anything else as JSON.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, is_dataclass
from enum import Enum
from math import isfinite
from types import FunctionType
from typing import Any, get_type_hints

from ..errors import InputError
from ..records.jsonl import dumps
from .calls import Result
from .hints import schema_of, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..records.types import Attachment, ToolRecord
    from .hints import Schema

_HEADING = re.compile(r"(Args|Arguments|Parameters|Params|Returns?|Yields?|Raises|Examples?|Notes?):\s*")
_OF_PARAMETERS = ("Args", "Arguments", "Parameters", "Params")
_GOOGLE = re.compile(r"(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)")
_METHODS = (FunctionType, staticmethod, classmethod)
_SPHINX = re.compile(r":param (?:[^:]* )?(\w+):\s*(.*)")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = list(inspect.signature(function).parameters.values())
    odd = [parameter for parameter in found if parameter.kind is inspect.Parameter.POSITIONAL_ONLY]
    if odd:
        raise InputError(f"the tool {function.__name__}: {odd[0].name} can only be given by its place, not by its name")
    return [parameter for parameter in found if parameter.kind in kinds]


def _is_json(value: Any) -> bool:
    """Whether JSON has a word for a plain value."""
    return not isinstance(value, float) or isfinite(value)


def _takes_others(function: Callable[..., Any]) -> bool:
    """Whether a function has `**`."""
    found = inspect.signature(function).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in found)


def described(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the description of a function, and what its docstring says of each parameter."""
    description: list[str] = []
    said: dict[str, list[str]] = {}
    section, name, margin = "", "", ""
    for line in (inspect.getdoc(function) or "").splitlines():
        if heading := _HEADING.fullmatch(line):
            section, name, margin = heading[1], "", ""
        elif sphinx := _SPHINX.match(line):
            section, name, margin = "Args", sphinx[1], line
            said[name] = [sphinx[2]]
        elif line.startswith(":"):
            section = "Returns"
        elif not section:
            description.append(line)
        elif section in _OF_PARAMETERS and line.strip():
            google = _GOOGLE.fullmatch(line)
            if google and margin in ("", google[1]):
                margin, name = google[1], google[2]
                said[name] = [google[3]]
            elif name:
                said[name].append(line.strip())
    return "\n".join(description).strip(), {name: " ".join(words).strip() for name, words in said.items()}


def input_schema(function: Callable[..., Any]) -> Schema:
    """Return the JSON Schema of the arguments of a function.

    Raises InputError for a parameter that cannot be given by its name, and a hint that names nothing.
    """
    _, said = described(function)
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:  # a hint can be any expression
        raise InputError(f"the tool {function.__name__}: {error}") from None
    properties, required, shared = {}, [], {}  # type: ignore[var-annotated]
    for parameter in _parameters(function):
        try:
            schema = _with_shared(schema_of(hints.get(parameter.name, Any)), shared)
        except RecursionError:
            raise InputError(f"the tool {function.__name__}: {parameter.name} is of a type that holds itself") from None
        if parameter.name in said and "description" not in schema:
            schema = {**schema, "description": said[parameter.name]}
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
        elif isinstance(parameter.default, (str, int, float, bool)) and _is_json(parameter.default):
            schema = {**schema, "default": parameter.default}
        properties[parameter.name] = schema
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        **({} if _takes_others(function) else {"additionalProperties": False}),
        **({"$defs": shared} if shared else {}),
    }


def _with_shared(schema: Any, shared: dict[str, Any]) -> Any:
    """Return a schema without the `$defs` in it, which go to `shared`: that is where `$ref` looks."""
    if isinstance(schema, list):
        return [_with_shared(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    for name, inner in schema.get("$defs", {}).items():
        if shared.setdefault(name, inner) != inner:
            raise InputError(f"two types are called {name}")
    return {name: _with_shared(value, shared) for name, value in schema.items() if name != "$defs"}


def tool_record(function: Callable[..., Any], name: str | None = None) -> ToolRecord:
    """Return the `tool` record of a function.

    def add(a: int, b: int) -> int:
        "Add two numbers."
        return a + b

    tool_record(add)["input_schema"]["required"]  # ["a", "b"]
    """
    description, _ = described(function)
    record: ToolRecord = {"type": "tool", "name": name or function.__name__}
    if description:
        record["description"] = description
    record["input_schema"] = input_schema(function)
    return record


def values_of(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as what the hints of the function say they are.

    Raises InputError for what they cannot be.
    """
    hints = get_type_hints(function)
    values = {}
    for name, value in arguments.items():
        try:
            values[name] = value_of(value, hints.get(name, Any))
        except (ValueError, TypeError, InputError) as error:  # pydantic's own is a ValueError
            raise InputError(f"{name}: {error}") from None
    return values


def call_now(function: Callable[..., Any], *given: Any, **values: Any) -> Any:
    """Return what a function gives, in this thread; what has to be awaited has a loop of its own."""
    found = function(*given, **values)
    if not inspect.isawaitable(found):
        return found
    from asyncio import run
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:  # there may be a loop in this one
        return pool.submit(run, awaited(found)).result()


async def in_thread(function: Callable[..., Any], *given: Any, **values: Any) -> Any:
    """Return what a function gives: a coroutine in this loop, any other function in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*given, **values)
    from asyncio import to_thread

    def run() -> Any:
        try:
            return function(*given, **values)
        except StopIteration:  # no future takes it, and whoever waits would wait for ever
            raise RuntimeError("the function raised StopIteration") from None

    return await awaited(await to_thread(run))


async def awaited(value: Any) -> Any:
    """Return a value, or what it is when it has been awaited."""
    return await value if inspect.isawaitable(value) else value


def methods_of(box: object) -> dict[str, Callable[..., Any]]:
    """Return the methods of a toolbox that are tools, by the names that the model sees: the public
    ones, but not those that every Toolbox has."""
    kind = type(box)
    own = [each for each in kind.__mro__ if each.__name__ != "Toolbox"]
    common = {name for each in kind.__mro__ if each.__name__ == "Toolbox" for name in dir(each)}
    names = dict.fromkeys(name for each in own for name in vars(each) if name not in common)
    return {
        f"{kind.__name__}_{name}": getattr(box, name)
        for name in names
        if not name.startswith("_") and isinstance(inspect.getattr_static(kind, name), _METHODS)
    }


def result_of(value: Any) -> Result:
    """Return what a function returned as the result of a call.

    Raises InputError for what is no JSON.
    """
    if isinstance(value, Result):
        return value
    if value is None or isinstance(value, str):
        return Result(value or "")
    if isinstance(value, (bytes, bytearray)):
        return Result(attachments=[_attachment(bytes(value))])
    if _is_image(value):
        return Result(attachments=[_attachment(_png(value))])
    if isinstance(value, (list, tuple)) and any(
        isinstance(item, (bytes, bytearray)) or _is_image(item) for item in value
    ):
        parts = [result_of(item) for item in value]
        texts = [part.output for part in parts if part.output]
        return Result("\n".join(texts), None, [item for part in parts for item in part.attachments])
    return Result(dumps(_plain(value)).decode())


def _is_image(value: Any) -> bool:
    """Whether a value is an image of Pillow's."""
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def _png(image: Any) -> bytes:
    from io import BytesIO

    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _attachment(data: bytes) -> Attachment:
    from ..attachment import from_bytes

    return from_bytes(data)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name if isinstance(name, str) else str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
