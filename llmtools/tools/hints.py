"""Type hints to JSON Schema, and JSON values to the types of hints.

Rules:
* A hint that we do not know accepts any value.
* Every vendor takes the schemas: an array has `items`, also one of any values, and no keyword that
  a vendor refuses (`prefixItems`, `uniqueItems`, most of `format`).
* A value is checked against the schema before it is converted. Only types that JSON does not have
  are constructed: dataclasses, enums, pydantic models, sets and tuples, paths, UUIDs, exact decimals,
  addresses, dates and times (ISO 8601).
"""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from types import NoneType, SimpleNamespace, UnionType
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
    from collections.abc import Callable, Iterable

Schema = dict[str, Any]

MAX_EXACT = 2**53
"""Up to here every integer is exact as a float, so that 1.0 can become an int and 1 a float, as JSON
does not tell them apart."""
_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_LIST_TYPES = (list, set, frozenset, tuple)
_TEXT_TYPES = ("uuid.UUID", "ipaddress.IPv4Address", "ipaddress.IPv6Address")
"""Types that are made of a text."""


def hints_of(holder: Any, names: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the type hints of a function or a class, by name; and for those that cannot be evaluated,
    such as the name of a module that only a type checker imports, why not.

    names: the variables for hints that are text; None for those of the class.
    """
    hints: dict[str, Any] = {}
    problems: dict[str, str] = {}
    try:
        return get_type_hints(holder, names, include_extras=True), problems
    except Exception:  # a hint can be any expression
        annotations = [_annotations(each) for each in reversed(getattr(holder, "__mro__", (holder,)))]
    for name, hint in {name: hint for each in annotations for name, hint in each.items()}.items():
        variables = names or vars(sys.modules.get(holder.__module__, holder))
        try:
            hints |= get_type_hints(SimpleNamespace(__annotations__={name: hint}), variables, include_extras=True)
        except Exception as error:
            problems[name] = f"{error}" or type(error).__name__
    return hints, problems


def _annotations(holder: Any) -> dict[str, Any]:
    """Return the annotations of a function or a class, not evaluated if they need not be."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return get_annotations(holder, format=Format.FORWARDREF)
    found: dict[str, Any] = getattr(holder, "__annotations__", {})
    return found


def schema_of_hint(hint: Any) -> Schema:
    """Return the JSON Schema of a type hint; {} for a hint that we do not know."""
    hint = _resolve_alias(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        texts = [item for item in arguments[1:] if isinstance(item, str)]
        return {**schema_of_hint(arguments[0]), **({"description": texts[0]} if texts else {})}
    if origin in (Required, NotRequired):
        return schema_of_hint(arguments[0])
    if isinstance(hint, type) and hint in _JSON_TYPES:
        return {"type": _JSON_TYPES[hint]}
    if hint is None:
        return {"type": "null"}
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of_hint(argument) for argument in arguments]}
    if origin is Literal:
        return _enum_schema([_enum_value(argument) for argument in arguments])
    if _is_named(hint, "decimal.Decimal"):
        return {"type": "number"}
    if _is_list(hint, origin):
        return _list_schema(hint, origin, arguments)
    if _is_dict(hint, origin):
        inner = schema_of_hint(arguments[1]) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": inner} if inner else {})}
    return _class_schema(hint)


def _resolve_alias(hint: Any) -> Any:
    """Return the type behind a NewType or an alias (`type X = …`)."""
    while (inner := getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)) is not None:
        hint = inner
    return hint


def _enum_value(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _text_parser(hint: Any) -> Callable[[str], Any] | None:
    """Return the function that parses a text to this type, None for another type."""
    if not isinstance(hint, type):
        return None
    return hint if issubclass(hint, PurePath) or _is_named(hint, *_TEXT_TYPES) else getattr(hint, "fromisoformat", None)


def _is_named(hint: Any, *names: str) -> bool:
    """Whether a type is one of these, by its module and name: it is not imported for that."""
    return isinstance(hint, type) and f"{hint.__module__}.{hint.__qualname__}" in names


def _is_dict(hint: Any, origin: Any) -> bool:
    return (origin or hint) is dict or _is_abstract(origin, "Mapping", "MutableMapping")


def _is_abstract(origin: Any, *names: str) -> bool:
    """Whether a type is one of these of collections.abc."""
    return getattr(origin, "__module__", "") == "collections.abc" and getattr(origin, "__name__", "") in names


def _is_list(hint: Any, origin: Any) -> bool:
    return (origin or hint) in _LIST_TYPES or _is_abstract(origin, "Sequence", "Iterable", "Collection", "Set")


def _list_schema(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
    if (origin or hint) is tuple and arguments and arguments[-1] is not Ellipsis:
        size = len(arguments)
        return {"type": "array", "items": _any_of(map(schema_of_hint, arguments)), "minItems": size, "maxItems": size}
    return {"type": "array", "items": schema_of_hint(arguments[0]) if arguments else {}}


def _any_of(schemas: Iterable[Schema]) -> Schema:
    """Return the schema of a value that fits one of several: {} if one of them is."""
    distinct: list[Schema] = []
    distinct += (schema for schema in schemas if schema not in distinct)
    return {} if {} in distinct else distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _enum_schema(values: list[Any]) -> Schema:
    types = dict.fromkeys(_JSON_TYPES.get(type(value), "") for value in values)
    if "" in types:
        return {"enum": values}
    return _any_of(
        {"type": kind, "enum": [value for value in values if _JSON_TYPES[type(value)] == kind]} for kind in types
    )


def _class_schema(hint: Any) -> Schema:
    if not isinstance(hint, type):
        return {}
    if issubclass(hint, Enum):
        return _enum_schema([member.value for member in hint])
    if _text_parser(hint) is not None:
        return {"type": "string"}
    if hasattr(hint, "model_json_schema"):  # a pydantic model
        schema: Schema = hint.model_json_schema()
        return schema
    if is_dataclass(hint):
        parameters = [one for one in fields(hint) if one.init]
        hints = hints_of(hint)[0]
        required = [one.name for one in parameters if one.default is MISSING and one.default_factory is MISSING]
        return _object_schema({one.name: hints.get(one.name, Any) for one in parameters}, required)
    if is_typeddict(hint):
        return _object_schema(hints_of(hint)[0], _required_keys(hint))
    return {}


def _required_keys(hint: Any) -> list[str]:
    """Return the required keys of a TypedDict. `__required_keys__` alone is wrong if the hints are text."""
    origins = {name: get_origin(each) for name, each in hints_of(hint)[0].items()}
    required = [name for name in origins if name in hint.__required_keys__ or origins[name] is Required]
    return [name for name in required if origins[name] is not NotRequired]


def _object_schema(hints: dict[str, Any], required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": {name: schema_of_hint(hint) for name, hint in hints.items()}}
    if required:
        schema["required"] = required
    return schema


def convert(value: Any, hint: Any) -> Any:
    """Return a JSON value converted to the type of a hint.

    Raises InputError, ValueError or TypeError if it cannot be converted.
    """
    hint = _resolve_alias(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if _is_named(hint, "decimal.Decimal") and type(value) in (int, float, Number):
        return hint(value.text if isinstance(value, Number) else repr(value))
    if isinstance(value, Number):
        raise InputError(f"{value.text} does not fit into a Python number")
    if origin in (Union, UnionType):
        return _convert_union(value, arguments)
    if origin is Literal:
        return next((each for each in arguments if isinstance(each, Enum) and each.value == value), value)
    if isinstance(value, list) and _is_list(hint, origin):
        return _convert_list(value, origin or hint, arguments)
    if isinstance(value, dict) and _is_dict(hint, origin):
        of_name, inner = arguments if len(arguments) == 2 else (Any, Any)
        parse: Any = of_name if of_name in (int, float) else str  # names are texts in JSON
        return {parse(name): convert(item, inner) for name, item in value.items()}
    return _construct(value, hint) if isinstance(hint, type) else value


def _construct(value: Any, hint: type[Any]) -> Any:
    """Return a JSON value as an object of a class, if JSON does not have that type."""
    if issubclass(hint, Enum):
        return hint(value)
    if hint in (int, float) and type(value) in (int, float) and abs(value) <= MAX_EXACT and hint(value) == value:
        return hint(value)
    if isinstance(value, str) and (parse := _text_parser(hint)) is not None:
        return parse(value)
    if isinstance(value, dict) and hasattr(hint, "model_validate"):
        return hint.model_validate(value)
    if isinstance(value, dict) and is_dataclass(hint):
        inner_hints = hints_of(hint)[0]
        return hint(**{name: convert(item, inner_hints.get(name, Any)) for name, item in value.items()})
    return value


def _convert_list(value: list[Any], list_type: Any, arguments: tuple[Any, ...]) -> Any:
    from ..schema import check

    is_fixed = list_type is tuple and arguments and arguments[-1] is not Ellipsis
    hints = list(arguments) if is_fixed else [arguments[0] if arguments else Any] * len(value)
    items = []
    for place, (item, hint) in enumerate(zip(value, hints, strict=True)):
        if is_fixed:  # the schema of the list does not say which item has which type
            check(item, schema_of_hint(hint), f"[{place}]")
        items.append(convert(item, hint))
    return list_type(items) if list_type in _LIST_TYPES else items


def _convert_union(value: Any, hints: tuple[Any, ...]) -> Any:
    from ..schema import check

    for hint in hints:
        try:
            check(value, schema_of_hint(hint), "")
            return convert(value, hint)
        except (InputError, ValueError, TypeError):
            continue
    return value
