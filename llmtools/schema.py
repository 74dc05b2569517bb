"""JSON Schemas of answers: the short form, and the check of an answer.

The short form is that of `llm`: fields separated by commas, or by newlines if the text has one.
A field is `NAME [TYPE] [: DESCRIPTION]`, TYPE one of str, int, float, bool. All are required.

    name, age int, bio: one line

The package jsonschema checks values, by the draft that `$schema` names, else by draft 2020-12. It is
imported only for a check.

Rules:
* `format` is an annotation in every draft, and is not checked.
* Nothing is fetched: a `$ref` out of the schema is an error.
* A schema may come from another person: a check that never ends is an error, except for a `pattern`
  on which Python's `re` takes for ever.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import lru_cache, partial, reduce
from operator import getitem

from .errors import InputError, NoInputError, UsageError, setting_name
from .records.jsonl import Number, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAX_REFERENCES = 1_000_000
"""How many times a check may follow a `$ref`: a small schema can ask for 2 ** 100."""
MAX_MESSAGE = 300
"""The most characters of an error about a value, which repeats the value."""
MAX_PROBLEMS = 50
"""How many keywords of a schema may be wrong before nothing of it is taken."""
_references_left: ContextVar[int] = ContextVar("references_left")

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FIELD = re.compile(r"\s*(?P<name>[^\s:,]+)(?:\s+(?P<type>[a-z]+))?\s*(?::\s*(?P<description>.*?))?\s*", re.DOTALL)


class SchemaError(InputError):
    """A JSON Schema that is not valid, or that a value cannot be checked against."""


def schema_from_text(text: str) -> dict[str, Any]:
    """Return the schema of a text: JSON, the name of a JSON file, or the short form.

    Raises UsageError, also for a schema that is not valid, or NoInputError.
    """
    if text.lstrip().startswith("{"):
        return _object(text, "the schema")
    if text.endswith(".json"):
        return _object(_read_text(text), text)
    return schema_from_short_form(text)


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a JSON Schema: not UTF-8 text") from None


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        schema = loads(text)
    except InputError as error:
        raise UsageError(f"{source}: {error.message}") from None
    if type(schema) is not dict:
        raise UsageError(f"{source}: not a JSON Schema: not an object")
    try:
        check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"{source} {error.message}") from None
    return schema


def schema_from_short_form(text: str) -> dict[str, Any]:
    """Return the schema of a text in the short form. Raises UsageError."""
    properties: dict[str, Any] = {}
    for field in text.split("\n" if "\n" in text.strip() else ","):
        if not field.strip():
            continue
        match = _FIELD.fullmatch(field)
        kind = (match["type"] or "str") if match else ""
        if not match or kind not in _TYPES:
            form = "NAME [str|int|float|bool] [: DESCRIPTION]"
            raise UsageError(f"{setting_name('--schema', 'schema')}: {field.strip()!r} is not {form}")
        properties[match["name"]] = {"type": _TYPES[kind]}
        if match["description"]:
            properties[match["name"]]["description"] = match["description"]
    if not properties:
        raise UsageError(f"{setting_name('--schema', 'schema')}: it has no field")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_of_list(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose `items` is a list of values of `schema`."""
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": schema}},
        "required": ["items"],
        "additionalProperties": False,
    }


def parse_answer(text: str, schema: dict[str, Any]) -> Any:
    """Return the JSON value of an answer.

    Raises InputError for one that does not fit its schema, SchemaError if it cannot be checked.
    """
    try:
        value = loads(text)
    except InputError as error:
        raise InputError(f"the answer is {error.message}") from None
    try:
        check(value, schema, "the answer")
    except SchemaError as error:
        raise SchemaError(f"the answer cannot be checked: the schema {error.message}") from None
    return value


def check_schema(schema: Any) -> None:
    """Raise SchemaError for a value that is not a valid JSON Schema, or has a `$ref` that leads nowhere."""
    _validator_of(schema)


def check(value: Any, schema: Any, place: str) -> None:
    """Check a value against its schema.

    Raises InputError with the place of the most telling error, SchemaError if the value cannot be
    checked; its message follows the words "the schema".
    """
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    validator = _validator_of(schema)
    _references_left.set(MAX_REFERENCES)
    try:
        error = best_match(validator.iter_errors(value))
    except RecursionError:
        raise SchemaError("leads back to itself") from None
    except Unresolvable as failure:
        raise SchemaError(_describe(failure.ref)) from None
    except re.error as failure:  # in patternProperties
        raise SchemaError(f"has a pattern that cannot be read: {failure}") from None
    if error is not None:
        raise InputError(f"{place}{error.json_path[1:]}: {_shorten(error.message)}")


def _validator_of(schema: Any) -> Any:
    try:
        return _validator(dumps(schema))
    except InputError as error:
        raise SchemaError(error.message) from None
    except RecursionError:
        raise SchemaError("is too deep") from None


@lru_cache(maxsize=32)
def _validator(data: bytes) -> Any:
    """Return the validator for a schema in JSON. Raises SchemaError.

    The schemas that `$ref` names are in the schema itself: the registry fetches nothing.
    """
    from referencing import Registry

    schema = loads(data)
    draft = _draft_of(schema)
    error = _first_error(schema, draft)
    if error is not None:
        raise SchemaError(f"is not valid: {error.json_path}: {_shorten(error.message)}")
    for _, reference in _lost_references(schema, draft):
        raise SchemaError(_describe(reference))
    return _lenient(draft)(schema, registry=Registry())


def valid_part(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a schema without the keywords that are not valid and each `$ref` that leads nowhere, and
    what is wrong with each. Raises SchemaError if too much is wrong."""
    part = loads(dumps(schema))
    problems: list[str] = []
    draft = _draft_of(part)
    while (error := _first_error(part, draft)) is not None:
        if not error.absolute_path or len(problems) == MAX_PROBLEMS:
            raise SchemaError(f"is not valid: {error.json_path}: {_shorten(error.message)}")
        problems.append(f"{error.json_path} is not valid: {_shorten(error.message)}")
        *path, last = error.absolute_path
        del reduce(getitem, path, part)[last]
    for contents, reference in list(_lost_references(part, draft)):
        problems.append(_describe(reference))
        del contents["$ref"]
    return part, problems


def _draft_of(schema: Any) -> Any:
    """Return the validator class of the draft that a schema names, of 2020-12 if it names none that is known."""
    from jsonschema.validators import Draft202012Validator, validator_for

    names_draft = isinstance(schema, dict) and isinstance(schema.get("$schema"), str)
    return validator_for(schema, default=Draft202012Validator) if names_draft else Draft202012Validator


def _first_error(schema: Any, draft: Any) -> Any:
    """Return the first error of a schema by the rules of its draft; None if it is valid."""
    return next(draft(draft.META_SCHEMA).iter_errors(schema), None)


def _lost_references(schema: Any, draft: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the (sub)schemas of which the `$ref` leads out of the schema, or nowhere; and that `$ref`."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    root = specification_with(draft.META_SCHEMA["$schema"]).create_resource(schema)
    pending = [(root, Registry().resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        reference: Any = resource.contents.get("$ref") if isinstance(resource.contents, dict) else None
        try:
            if isinstance(reference, str):
                resolver.lookup(reference)
        except Unresolvable:
            yield resource.contents, reference
        pending += [(each, resolver.in_subresource(each)) for each in resource.subresources()]


def _describe(reference: Any) -> str:
    """Return why a `$ref` that could not be followed is a fault of its schema."""
    if "://" in str(reference):
        return f"refers to {reference}, and nothing is fetched for a schema"
    return f"refers to {reference}, which is not in it"


@lru_cache
def _lenient(draft: Any) -> Any:
    """Return the validator class of a draft with exact numbers, ECMA patterns and a limit of references."""
    from jsonschema.validators import extend

    known = draft.TYPE_CHECKER
    types = known.redefine("integer", lambda _, value: type(value) is not Number and known.is_type(value, "integer"))
    keywords = {"pattern": _pattern, "multipleOf": _multiple_of, "$ref": partial(_reference, draft.VALIDATORS["$ref"])}
    return extend(draft, keywords, type_checker=types)  # type: ignore[no-untyped-call]


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    """Check `pattern`. A pattern that Python does not know (`\\p{L}`) matches."""
    from jsonschema import ValidationError

    try:
        if isinstance(value, str) and not re.search(pattern, value):
            yield ValidationError(f"{value!r} does not match {pattern!r}")
    except re.error:
        return


def _multiple_of(_: Any, unit: float, value: Any, __: Any) -> Iterator[Any]:
    """Check `multipleOf` in decimal: as doubles, 0.3 is not a multiple of 0.1."""
    from fractions import Fraction

    from jsonschema import ValidationError

    if type(value) in (int, float) and type(unit) in (int, float) and Fraction(repr(value)) % Fraction(repr(unit)):
        yield ValidationError(f"{value!r} is not a multiple of {unit}")


def _reference(follow: Any, validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
    """Follow a `$ref`, `MAX_REFERENCES` of them at most."""
    left = _references_left.get()
    if left == 0:
        raise SchemaError(f"needs more than {MAX_REFERENCES} references")
    _references_left.set(left - 1)
    yield from follow(validator, reference, value, schema) or ()


def _shorten(message: str) -> str:
    """Return a message without most of a long value in it."""
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE // 2]} … {message[-MAX_MESSAGE // 2 :]}"
