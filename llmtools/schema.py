"""JSON Schemas of answers: the short form, and the check of an answer.

The short form is that of `llm`: fields separated by commas, or by newlines if the text has one.
A field is `NAME [TYPE] [: DESCRIPTION]`, TYPE one of str, int, float, bool. All are required.

    name, age int, bio: one line

The package jsonschema checks values, by the draft that `$schema` names, else by draft 2020-12. It is
imported only for a check.

Rules:
* `format` is an annotation in every draft, and is not checked.
* Nothing is fetched: a `$ref` out of the schema is an error.
* A schema may come from another person: a check that takes more than `CHECK_TIME` is an error. Patterns on
  which Python's `re` may take long run in another process, because nothing else can end them.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import lru_cache, reduce
from operator import getitem
from time import thread_time

from .errors import InputError, UsageError, setting_name
from .files import read_file
from .records.jsonl import Number, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CHECK_TIME = 10.0
"""The seconds of processor time that a check may take: a small schema can ask for 2 ** 100 references."""
MAX_MATCHING = 1_000_000
"""The most steps that a pattern may take in this process."""
MAX_UNIQUE = 10_000
"""The most bytes of a value whose items are compared with each other in this process."""
MAX_MESSAGE = 300
"""The most characters of an error about a value, which repeats the value."""
MAX_PROBLEMS = 50
"""How many keywords of a schema may be wrong before nothing of it is taken."""
_deadline: ContextVar[float] = ContextVar("deadline")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')

_TOO_LONG = "takes too long to check"
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FIELD = re.compile(r"\s*(?P<name>[^\s:,]+)(?:\s+(?P<type>[a-z]+))?\s*(?::\s*(?P<description>.*?))?\s*", re.DOTALL)


class SchemaError(InputError):
    """A JSON Schema that is not valid, or that a value cannot be checked against."""


class SlowSchemaError(SchemaError):
    """A check against a JSON Schema that took too long."""


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
        return read_file(path).decode()
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
    _start_clock()
    _validator_of(schema)


def check(value: Any, schema: Any, place: str) -> None:
    """Check a value against its schema.

    Raises InputError with the place of the most telling error, SchemaError if the value cannot be
    checked; its message follows the words "the schema".
    """
    _start_clock()
    validator = _validator_of(schema)
    if _may_take_long(schema, value):
        _check_in_child(value, schema, place)
    else:
        _check_here(validator, value, place)


def _check_here(validator: Any, value: Any, place: str) -> None:
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(validator.iter_errors(value))
    except RecursionError:
        raise SchemaError("leads back to itself") from None
    except Unresolvable as failure:
        raise SchemaError(_describe(failure.ref)) from None
    except (re.error, OverflowError) as failure:  # in patternProperties
        raise SchemaError(f"has a pattern that cannot be read: {failure}") from None
    if error is not None:
        raise InputError(f"{place}{error.json_path[1:]}: {_shorten(error.message)}")


def _may_take_long(schema: Any, value: Any) -> bool:
    """Return whether a check may take long in one step, where no clock is looked at."""
    patterns, is_unique = _patterns_of(schema)
    if not patterns and not is_unique:
        return False
    data = dumps(value)
    longest = max(map(len, _STRING.findall(data)), default=0)
    return (is_unique and len(data) > MAX_UNIQUE) or any(not _is_fast(pattern, longest) for pattern in patterns)


def _patterns_of(schema: Any) -> tuple[list[str], bool]:
    """Return the patterns in a schema, and whether items must be unique somewhere in it."""
    patterns: list[str] = []
    is_unique = False
    pending = [schema]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            patterns += [each["pattern"]] if isinstance(each.get("pattern"), str) else []
            patterns += each["patternProperties"] if isinstance(each.get("patternProperties"), dict) else ()
            is_unique = is_unique or "uniqueItems" in each
            pending += each.values()
        elif isinstance(each, list):
            pending += each
    return patterns, is_unique


def _is_fast(pattern: str, length: int) -> bool:
    """Return whether a search in `length` bytes ends soon. Without a group, a pattern has nothing nested: each
    of its repetitions tries every length at most, from every place."""
    repetitions = sum(map(pattern.count, "*+?{"))
    return "(" not in pattern and repetitions < 16 and len(pattern) * (length + 1) ** (repetitions + 1) < MAX_MATCHING


def _check_in_child(value: Any, schema: Any, place: str) -> None:
    """Check a value in another process, which is ended when the time is over. Raises what `check` raises."""
    import subprocess
    import sys

    program = f"from llmtools.schema import check_stdin; check_stdin({CHECK_TIME!r})"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            input=dumps([value, schema, place]),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=6 * CHECK_TIME,  # of a machine that has other work
            check=False,
        )
    except OSError as error:
        raise SchemaError(f"needs a process that cannot start: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SlowSchemaError(_TOO_LONG) from None
    if done.returncode < 0:  # by the limit of its processor time
        raise SlowSchemaError(_TOO_LONG)
    try:
        kind, message = loads(done.stdout)
    except (InputError, TypeError, ValueError):
        raise SchemaError(f"needs a process that ended with status {done.returncode}") from None
    if kind:
        is_slow = message == _TOO_LONG
        raise (SlowSchemaError if is_slow else SchemaError if kind == "schema" else InputError)(message)


def check_stdin(seconds: float) -> None:
    """Check [value, schema, place] on stdin; write ["", ""], or what is wrong: ["value" or "schema", message].
    The process is killed after so many seconds of processor time."""
    import resource
    import sys

    limit = round(seconds) or 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    value, schema, place = loads(sys.stdin.buffer.read())
    _start_clock()
    kind = message = ""
    try:
        _check_here(_validator_of(schema), value, place)
    except InputError as error:
        kind, message = "schema" if isinstance(error, SchemaError) else "value", error.message
    sys.stdout.buffer.write(dumps([kind, message]))


def _start_clock() -> None:
    _deadline.set(thread_time() + CHECK_TIME)


def _look_at_clock() -> None:
    """Raise SlowSchemaError if the time of the check is over."""
    if thread_time() > _deadline.get():
        raise SlowSchemaError(_TOO_LONG)


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
    _start_clock()
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
    return next(_lenient(draft)(draft.META_SCHEMA).iter_errors(schema), None)


def _lost_references(schema: Any, draft: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the (sub)schemas of which the `$ref` leads out of the schema, or nowhere; and that `$ref`."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    root = specification_with(draft.META_SCHEMA["$schema"]).create_resource(schema)
    pending = [(root, Registry().resolver_with_root(root))]
    while pending:
        _look_at_clock()
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
    """Return the validator class of a draft with exact numbers, ECMA patterns and a limit of time."""
    from jsonschema.validators import extend

    known = draft.TYPE_CHECKER
    types = known.redefine("integer", lambda _, value: type(value) is not Number and known.is_type(value, "integer"))
    keywords = {**draft.VALIDATORS, "pattern": _pattern, "multipleOf": _multiple_of}
    timed = {name: _with_clock(keyword) for name, keyword in keywords.items()}
    return extend(draft, timed, type_checker=types)  # type: ignore[no-untyped-call]


def _with_clock(keyword: Any) -> Any:
    """Return the function of a keyword, which looks at the clock first."""

    def check_keyword(validator: Any, content: Any, value: Any, schema: Any) -> Any:
        _look_at_clock()
        return keyword(validator, content, value, schema)

    return check_keyword


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    """Check `pattern`. A pattern that Python does not know (`\\p{L}`) matches."""
    from jsonschema import ValidationError

    try:
        if isinstance(value, str) and not re.search(pattern, value):
            yield ValidationError(f"{value!r} does not match {pattern!r}")
    except (re.error, OverflowError, RecursionError):
        return


def _multiple_of(_: Any, unit: float, value: Any, __: Any) -> Iterator[Any]:
    """Check `multipleOf` in decimal: as doubles, 0.3 is not a multiple of 0.1."""
    from fractions import Fraction

    from jsonschema import ValidationError

    if type(value) in (int, float) and type(unit) in (int, float) and Fraction(repr(value)) % Fraction(repr(unit)):
        yield ValidationError(f"{value!r} is not a multiple of {unit}")


def _shorten(message: str) -> str:
    """Return a message without most of a long value in it."""
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE // 2]} … {message[-MAX_MESSAGE // 2 :]}"
