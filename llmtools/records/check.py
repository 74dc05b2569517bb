"""Checks the shape of a record, once, where it is read.

Rules:
* A record of an unknown type passes, and so does an unknown field, so that the format can grow.
  A known field of a wrong kind is refused, required or not.
* A check raises InputError with the path of the wrong field. It changes nothing.
* `stream.schema.json` is the same for other programs; a test compares the two.
"""

from __future__ import annotations

from ..errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Kind = tuple[Callable[[Any], bool], str]
    Fields = dict[str, tuple[Kind, bool]]
    Check = Callable[[Any, str], None]

ROLES = ("system", "user", "assistant", "tool")
RESPONSE_STATUSES = ("ok", "error", "cancelled", "truncated")
KNOWN_FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error")
TEXT_PHASES = ("commentary", "answer")

TEXT: Kind = (lambda v: type(v) is str, "a string")
FLAG: Kind = (lambda v: type(v) is bool, "true or false")
COUNT: Kind = (lambda v: type(v) is int and v >= 0, "a whole number from 0")
NUMBER: Kind = (lambda v: type(v) is int or isinstance(v, float), "a number")
OBJECT: Kind = (lambda v: type(v) is dict, "an object")
LIST: Kind = (lambda v: type(v) is list, "a list")
METADATA: Kind = (
    lambda v: type(v) is dict and all(type(of_issuer) is dict for of_issuer in v.values()),
    "an object of objects, one for each issuer",
)
OBJECT_OF_COUNTS: Kind = (
    lambda v: type(v) is dict and all(type(n) is int and n >= 0 for n in v.values()),
    "an object of whole numbers",
)


def _one_of(values: tuple[str, ...]) -> Kind:
    return (lambda v: type(v) is str and v in values, "one of " + ", ".join(values))


def _fields(required: dict[str, Kind], optional: dict[str, Kind]) -> Fields:
    return {n: (k, True) for n, k in required.items()} | {n: (k, False) for n, k in optional.items()}


_META = {"provider_metadata": METADATA}
_CALL_ID = {"tool_call_id": TEXT}
_SERVER = {"server_executed": FLAG}
_CALL_FLAGS = {**_SERVER, "needs_approval": FLAG}

ATTACHMENT_FIELDS = _fields({}, dict.fromkeys(("type", "name", "content", "path", "sha256", "url"), TEXT))
ANNOTATION_FIELDS = _fields(
    {"kind": TEXT},
    {"url": TEXT, "title": TEXT, "cited_text": TEXT, "start": COUNT, "end": COUNT, **_META},
)
PARTS: dict[str, Fields] = {
    "text": _fields({"text": TEXT}, {"annotations": LIST, "phase": _one_of(TEXT_PHASES), **_META}),
    "reasoning": _fields({"text": TEXT}, {"redacted": FLAG, **_META}),
    "refusal": _fields({"text": TEXT}, _META),
    "tool_call": _fields(
        {"name": TEXT, "arguments": OBJECT},
        {"arguments_raw": TEXT, "exception": TEXT, **_CALL_ID, **_CALL_FLAGS, **_META},
    ),
    "tool_result": _fields(
        {"name": TEXT, "output": TEXT},
        {"exception": TEXT, "attachments": LIST, **_CALL_ID, **_SERVER, **_META},
    ),
    "attachment": _fields({}, {"attachment": OBJECT, **_META}),
}
USAGE_FIELDS = _fields({}, {"input": COUNT, "output": COUNT, "details": OBJECT_OF_COUNTS})
TIMING_FIELDS = _fields({}, {"first": NUMBER, "total": NUMBER})
_OUTCOME: dict[str, Kind] = {
    "exit_status": COUNT,
    "finish_reason": _one_of(KNOWN_FINISH_REASONS),
    "finish_reason_raw": TEXT,
    "usage": OBJECT,
    "model_served": TEXT,
    "timing": OBJECT,
    "details": OBJECT,
}
_ORIGIN: dict[str, Kind] = {
    "provider": TEXT,
    "created": TEXT,
    "request": OBJECT,
    "request_id": TEXT,
}
RESPONSE_FIELDS = _fields(
    {}, {"id": TEXT, "status": _one_of(RESPONSE_STATUSES), "error": OBJECT, "model": TEXT, **_ORIGIN, **_OUTCOME}
)
REQUEST_FIELDS = _fields(
    {}, {"model": TEXT, "options": OBJECT, "schema": OBJECT, "reasoning": TEXT, "tool_choice": TEXT}
)
MESSAGE_FIELDS = _fields({"role": _one_of(ROLES), "parts": LIST}, {"request": OBJECT, "response": OBJECT, **_META})
TOOL_FIELDS = _fields({"name": TEXT}, {"description": TEXT, "input_schema": OBJECT, **_META})
CONVERSATION_FIELDS = _fields(
    {"messages": LIST},
    {"id": TEXT, "tools": LIST, "options": OBJECT, "meta": OBJECT, "error": OBJECT},
)
_FAILURE_DETAILS: dict[str, Kind] = {
    "http_status": COUNT,
    "retryable": FLAG,
    "retry_after": NUMBER,
    "request_id": TEXT,
    "model": TEXT,
    "provider": TEXT,
    "server": TEXT,
    "stderr": TEXT,
}
FAILURE_FIELDS = _fields({}, {"code": TEXT, "message": TEXT, "exit_status": COUNT, **_FAILURE_DETAILS})
EVENTS: dict[str, Fields] = {
    "start": _fields(
        {"response_id": TEXT},
        {"role": _one_of(("assistant", "tool")), "model": TEXT, **_ORIGIN, **_META},
    ),
    "text": _fields({"chunk": TEXT, "part_index": COUNT}, {"phase": _one_of(TEXT_PHASES), **_META}),
    "reasoning": _fields({"chunk": TEXT, "part_index": COUNT}, {"redacted": FLAG, **_META}),
    "refusal": _fields({"chunk": TEXT, "part_index": COUNT}, _META),
    "tool_call_name": _fields({"chunk": TEXT, "part_index": COUNT}, {**_CALL_ID, **_CALL_FLAGS, **_META}),
    "tool_call_args": _fields({"chunk": TEXT, "part_index": COUNT}, {**_CALL_ID, **_META}),
    "tool_result": _fields(
        {"chunk": TEXT, "part_index": COUNT},
        {"tool_name": TEXT, "exception": TEXT, **_CALL_ID, **_SERVER, **_META},
    ),
    "attachment": _fields({"part_index": COUNT}, {"chunk": TEXT, "attachment": OBJECT, **_META}),
    "annotation": _fields({"part_index": COUNT, "annotation": OBJECT}, _META),
    "part": _fields({"part_index": COUNT, "part": OBJECT}, _META),
    "reset": _fields({"reason": TEXT}, {}),
    "notice": _fields({"code": TEXT, "message": TEXT}, {}),
    "error": _fields({"code": TEXT, "message": TEXT, "exit_status": COUNT}, _FAILURE_DETAILS),
    "end": _fields({"response_id": TEXT, "status": _one_of(RESPONSE_STATUSES)}, {**_OUTCOME, **_META}),
}


def _check_fields(value: dict[str, Any], fields: Fields, place: str) -> None:
    for name, ((test, kind), required) in fields.items():
        if name in value:
            if not test(value[name]):
                raise InputError(f"{place}: {name} must be {kind}")
        elif required:
            raise InputError(f"{place}: {name} is missing")


def _check_object(value: Any, fields: Fields, place: str) -> None:
    if type(value) is not dict:
        raise InputError(f"{place}: must be an object")
    _check_fields(value, fields, place)


def _check_nested(value: dict[str, Any], name: str, fields: Fields, place: str) -> None:
    if name in value:
        _check_object(value[name], fields, f"{place}.{name}")


def _check_each(values: Any, check: Check, place: str) -> None:
    for index, value in enumerate(values):
        check(value, f"{place}[{index}]")


def _check_annotation(value: Any, place: str) -> None:
    _check_object(value, ANNOTATION_FIELDS, place)


def _check_attachment(value: Any, place: str) -> None:
    _check_object(value, ATTACHMENT_FIELDS, place)


def check_part(part: Any, place: str = "part") -> None:
    """Raise InputError for a part of a wrong shape."""
    if type(part) is not dict or type(part.get("type")) is not str:
        raise InputError(f"{place}: must be an object with a type")
    _check_fields(part, PARTS.get(part["type"], _META_ONLY), place)
    kind = part["type"]
    if kind == "text":
        _check_each(part.get("annotations", ()), _check_annotation, f"{place}.annotations")
    elif kind == "tool_result":
        _check_each(part.get("attachments", ()), _check_attachment, f"{place}.attachments")
    elif kind == "attachment" and "attachment" in part:
        _check_attachment(part["attachment"], f"{place}.attachment")


def _check_outcome(value: dict[str, Any], place: str) -> None:
    _check_nested(value, "usage", USAGE_FIELDS, place)
    _check_nested(value, "timing", TIMING_FIELDS, place)
    if value.get("status", "ok") != "ok" and "exit_status" not in value:
        raise InputError(f"{place}: exit_status is missing")


def check_message(message: Any, place: str = "message") -> None:
    """Raise InputError for a message of a wrong shape."""
    _check_object(message, MESSAGE_FIELDS, place)
    _check_each(message["parts"], check_part, f"{place}.parts")
    _check_nested(message, "request", REQUEST_FIELDS, place)
    if "response" in message:
        response = message["response"]
        _check_fields(response, RESPONSE_FIELDS, f"{place}.response")
        _check_nested(response, "error", FAILURE_FIELDS, f"{place}.response")
        _check_outcome(response, f"{place}.response")


def _check_tool(tool: Any, place: str) -> None:
    _check_object(tool, TOOL_FIELDS, place)


def _check_conversation(record: Any, place: str) -> None:
    _check_fields(record, CONVERSATION_FIELDS, place)
    _check_each(record["messages"], check_message, f"{place}.messages")
    _check_each(record.get("tools", ()), _check_tool, f"{place}.tools")
    _check_nested(record, "error", FAILURE_FIELDS, place)


def _check_chunk(record: Any, place: str) -> None:
    """Check the most frequent record fast; one with more fields is checked as the others are."""
    if len(record) != 3 or type(record.get("chunk")) is not str or type(record.get("part_index")) is not int:
        _check_fields(record, EVENTS[place], place)
    elif record["part_index"] < 0:
        raise InputError(f"{place}: part_index must be a whole number from 0")


def _check_event(record: Any, place: str) -> None:
    _check_fields(record, EVENTS[place], place)
    if place == "end":
        _check_outcome(record, place)
    elif place == "part":
        check_part(record["part"], "part.part")
    elif place == "annotation":
        _check_annotation(record["annotation"], "annotation.annotation")
    elif place == "attachment":
        _check_nested(record, "attachment", ATTACHMENT_FIELDS, place)


_META_ONLY = _fields({}, _META)
CHECKS: dict[str, Check] = {
    **dict.fromkeys(EVENTS, _check_event),
    **dict.fromkeys(("text", "reasoning", "refusal"), _check_chunk),
    "message": check_message,
    "tool": _check_tool,
    "conversation": _check_conversation,
}
"""The check of each record type, called with the record and the type. Other types are not checked."""


def check_record(record: Any) -> None:
    """Raise InputError for a record of a wrong shape."""
    if type(record) is not dict:
        raise InputError("not a JSON object")
    kind = record.get("type")
    if type(kind) is not str:
        raise InputError("not a record of a stream: it has no type")
    check = CHECKS.get(kind)
    if check is not None:
        check(record, kind)
