"""Type hints: to the JSON Schema of what they allow, and JSON to what they say it is.

Rules:
* A hint that says nothing here allows anything.
* Values come checked against the schema; only what JSON has no word for is made of them:
  dataclasses, enums, pydantic models, sets and tuples, paths, dates and times (ISO 8601).
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from ..errors import InputError
from ..records.jsonl import Number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Schema = dict[str, Any]

EXACT = 2**53
"""Up to here each whole number is an int and a float alike: 1.0 is an integer in JSON, and 1 a number."""
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_LISTS = (list, set, frozenset, tuple)


def schema_of(hint: Any) -> Schema:
    """Return the JSON Schema of a type hint; {} for one that says nothing here."""
    hint = _meant(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        described = [item for item in arguments[1:] if isinstance(item, str)]
        return {**schema_of(arguments[0]), **({"description": described[0]} if described else {})}
    if origin in (Required, NotRequired):
        return schema_of(arguments[0])
    if isinstance(hint, type) and hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if hint is None:
        return {"type": "null"}
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(argument) for argument in arguments]}
    if origin is Literal:
        return _choices([_plain(argument) for argument in arguments])
    if _is_list(hint, origin):
        return _list_schema(hint, origin, arguments)
    if _is_dict(hint, origin):
        inner = schema_of(arguments[1]) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": inner} if inner else {})}
    return _class_schema(hint)


def _meant(hint: Any) -> Any:
    """Return the type that a NewType, or an alias (`type X = …`), stands for."""
    while (inner := getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)) is not None:
        hint = inner
    return hint


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _from_text(hint: Any) -> Callable[[str], Any] | None:
    """Return what makes a value of this type of a text, None for another type."""
    if not isinstance(hint, type):
        return None
    return hint if issubclass(hint, PurePath) else getattr(hint, "fromisoformat", None)


def _is_dict(hint: Any, origin: Any) -> bool:
    return (origin or hint) is dict or _is_named(origin, "Mapping", "MutableMapping")


def _is_named(kind: Any, *names: str) -> bool:
    return getattr(kind, "__module__", "") == "collections.abc" and getattr(kind, "__name__", "") in names


def _is_list(hint: Any, origin: Any) -> bool:
    return (origin or hint) in _LISTS or _is_named(origin, "Sequence", "Iterable", "Collection", "Set")


def _list_schema(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
    schema: Schema = {"type": "array"}
    if (origin or hint) is tuple and arguments and arguments[-1] is not Ellipsis:
        size = len(arguments)
        return {**schema, "prefixItems": [schema_of(one) for one in arguments], "minItems": size, "maxItems": size}
    if arguments:
        schema["items"] = schema_of(arguments[0])
    if (origin or hint) in (set, frozenset):
        schema["uniqueItems"] = True
    return schema


def _choices(values: list[Any]) -> Schema:
    kinds = {_PLAIN.get(type(value), "") for value in values}
    typed = {"type": kinds.pop()} if len(kinds) == 1 and "" not in kinds else {}
    return {**typed, "enum": values}


def _class_schema(hint: Any) -> Schema:
    if not isinstance(hint, type):
        return {}
    if issubclass(hint, Enum):
        return _choices([member.value for member in hint])
    if _from_text(hint) is not None:
        return {"type": "string"}
    if hasattr(hint, "model_json_schema"):  # a pydantic model
        found: Schema = hint.model_json_schema()
        return found
    if is_dataclass(hint):
        given = [one for one in fields(hint) if one.init]
        hints = get_type_hints(hint, include_extras=True)
        needed = [one.name for one in given if one.default is MISSING and one.default_factory is MISSING]
        return _object_schema({one.name: hints[one.name] for one in given}, needed)
    if is_typeddict(hint):
        return _object_schema(get_type_hints(hint, include_extras=True), _required(hint))
    return {}


def _required(hint: Any) -> list[str]:
    """Return the keys that a TypedDict must have, also where its hints are text."""
    said = {name: get_origin(each) for name, each in get_type_hints(hint, include_extras=True).items()}
    required = [name for name in said if name in hint.__required_keys__ or said[name] is Required]
    return [name for name in required if said[name] is not NotRequired]


def _object_schema(hints: dict[str, Any], required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": {name: schema_of(hint) for name, hint in hints.items()}}
    if required:
        schema["required"] = required
    return schema


def value_of(value: Any, hint: Any) -> Any:
    """Return a JSON value as what a hint says it is.

    Raises InputError, ValueError or TypeError where it cannot be that.
    """
    hint = _meant(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(value, Number):
        raise InputError(f"{value.text} does not fit into a number of Python's")
    if origin in (Union, UnionType):
        return _first_fit(value, arguments)
    if origin is Literal:
        return next((each for each in arguments if isinstance(each, Enum) and each.value == value), value)
    if isinstance(value, list) and _is_list(hint, origin):
        return _listed(value, origin or hint, arguments)
    if isinstance(value, dict) and _is_dict(hint, origin):
        inner = arguments[1] if len(arguments) == 2 else Any
        return {name: value_of(item, inner) for name, item in value.items()}
    return _made(value, hint) if isinstance(hint, type) else value


def _made(value: Any, hint: type[Any]) -> Any:
    """Return an object of a class, where JSON has no word for it."""
    if issubclass(hint, Enum):
        return hint(value)
    if hint in (int, float) and type(value) in (int, float) and abs(value) <= EXACT and hint(value) == value:
        return hint(value)
    if isinstance(value, str) and (make := _from_text(hint)) is not None:
        return make(value)
    if isinstance(value, dict) and hasattr(hint, "model_validate"):
        return hint.model_validate(value)
    if isinstance(value, dict) and is_dataclass(hint):
        inner_hints = get_type_hints(hint)
        return hint(**{name: value_of(item, inner_hints.get(name, Any)) for name, item in value.items()})
    return value


def _listed(value: list[Any], kind: Any, arguments: tuple[Any, ...]) -> Any:
    is_fixed = kind is tuple and arguments and arguments[-1] is not Ellipsis
    hints = list(arguments) if is_fixed else [arguments[0] if arguments else Any] * len(value)
    items = [value_of(item, hint) for item, hint in zip(value, hints, strict=True)]
    return kind(items) if kind in _LISTS else items


def _first_fit(value: Any, hints: tuple[Any, ...]) -> Any:
    from ..schema import check

    for hint in hints:
        schema = schema_of(hint)
        try:
            check(value, schema, schema, "")
            return value_of(value, hint)
        except (InputError, ValueError, TypeError):
            continue
    return value
