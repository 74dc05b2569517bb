"""OpenAI Responses, the items of calls: items to our fields and back.

Rules:
* The arguments of a call are in one field: as JSON text, as an object, or as a bare value, which
  becomes the argument with the name of the field (`input`, `code`, `queries`). If a server uses
  another field than OpenAI, `field` in the metadata names it.
* The id of a call is its call_id. Calls of the server's own tools have none; theirs is the
  item's id.
* Calls that the server ran are marked. A shell, a patch or a click that is ours to run is a call
  like any other, and its result goes back in an item of its own type.
* An approval request is a call that needs approval; its result is the answer.
* The text of a server's result is only for people to read, except that of an MCP call.
"""

from __future__ import annotations

from ...errors import InputError
from ...records.fold import arguments_of
from ...records.jsonl import loads
from ..json_fields import objects_of, readable_text, string_of, string_or_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Part
    from ..json_fields import JsonObject

PHASE_NAMES = {"commentary": "commentary", "final_answer": "answer"}
"""The vendor's phase of a text -> ours."""

ARGUMENT_FIELDS: dict[str, tuple[str, ...]] = {
    "function_call": ("arguments",),
    "custom_tool_call": ("input",),
    "mcp_call": ("arguments",),
    "mcp_approval_request": ("arguments",),
    "web_search_call": ("action", "arguments"),
    "file_search_call": ("queries",),
    "code_interpreter_call": ("code",),
    "tool_search_call": ("arguments",),
    "shell_call": ("action",),
    "local_shell_call": ("action",),
    "apply_patch_call": ("operation",),
    "computer_call": ("action", "actions"),
}
"""Type of an item that is a call -> the fields that may have its arguments, OpenAI's first."""

OUTPUT_TOOLS = {"shell_call_output": "shell", "tool_search_output": "tool_search", "program_output": "program"}
"""Type of an item that is the result of a call that the server ran -> the name of the tool."""

BARE_FIELDS = frozenset(("input", "code", "queries", "actions"))
"""Fields whose value is not an object. It becomes the argument of that name."""

APPROVAL = "mcp_approval_request"
"""The type of a call that the server runs once it is approved."""

_NAMED_CALLS = ("function_call", "custom_tool_call", "mcp_call", APPROVAL)
_WITHOUT_CALL_ID = (APPROVAL, "mcp_call", "web_search_call", "file_search_call", "code_interpreter_call")
_READABLE_FIELDS = ("stdout", "stderr", "logs", "result", "title", "filename", "url", "text", "name")


_OUR_CALLS = (
    *("function_call", "custom_tool_call", "local_shell_call", "apply_patch_call", "computer_call"),
    APPROVAL,
)


def name_of(item: JsonObject) -> str:
    """Return the name of the tool that is called."""
    kind = string_or_empty(item.get("type"))
    return string_or_empty(item.get("name")) if kind in _NAMED_CALLS else kind.removesuffix("_call")


def id_of(item: JsonObject) -> str:
    """Return the id of a call, "" if it has none."""
    return string_or_empty(item.get("id" if item.get("type") in _WITHOUT_CALL_ID else "call_id"))


def is_served(item: JsonObject) -> bool:
    """Return whether the server runs the call."""
    kind = item.get("type")
    if kind == "shell_call":
        environment = item.get("environment")
        return isinstance(environment, dict) and environment.get("type") not in (None, "local")
    if kind == "tool_search_call":
        return item.get("execution") != "client"
    return kind not in _OUR_CALLS


def field_of(item: JsonObject) -> str:
    """Return the name of the field that has the arguments."""
    fields = ARGUMENT_FIELDS[item["type"]]
    return next((name for name in fields if item.get(name) not in (None, "")), fields[0])


def arguments_in(item: JsonObject) -> str:
    """Return the arguments of a call as JSON text, "" if it has none."""
    field = field_of(item)
    value = item.get(field)
    if value in (None, ""):
        return ""
    if field in BARE_FIELDS:
        return string_of({field: value})
    if isinstance(value, dict):
        return string_of({name: inner for name, inner in value.items() if name != "sources"})
    return string_of(value)


def call_metadata(item: JsonObject, call_id: str) -> JsonObject:
    """Return the fields of a call's item that the name, arguments and id of our part do not hold."""
    kind, field = item["type"], field_of(item)
    metadata = {name: value for name, value in item.items() if value not in (None, "", [], {}) and name != field}
    if kind == "function_call":
        metadata.pop("type")
    if kind in _NAMED_CALLS:
        metadata.pop("name", None)
    if kind == "mcp_call" and isinstance(item.get("output"), str):
        metadata.pop("output", None)
    id_field = "call_id" if kind not in _WITHOUT_CALL_ID else "id" if item.get("id") == call_id else ""
    metadata.pop(id_field, None)
    if field != ARGUMENT_FIELDS[kind][0]:
        metadata["field"] = field
    value = item.get(field)
    if isinstance(value, dict) and "sources" in value:  # these are a result, not an argument
        metadata[field] = {"sources": value["sources"]}
    return metadata


def call_type(part: Part, own: JsonObject) -> str:
    """Return the type of the item of a call: that in the metadata, if it has the name and the arguments of the
    part, else `function_call`."""
    kind, arguments = string_or_empty(own.get("type")), part["arguments"]
    if kind not in ARGUMENT_FIELDS or (kind not in _NAMED_CALLS and part["name"] != kind.removesuffix("_call")):
        return "function_call"
    field = _field_to_fill(kind, own)
    if field in BARE_FIELDS and not arguments.keys() <= {field}:
        return "function_call"
    return kind


def _field_to_fill(kind: str, own: JsonObject) -> str:
    return str(own["field"]) if own.get("field") in ARGUMENT_FIELDS[kind] else ARGUMENT_FIELDS[kind][0]


def item_of(part: Part, own: JsonObject, call_id: str) -> tuple[JsonObject, str]:
    """Return the item of a call, without the fields that the issuer's metadata adds, and its field of arguments."""
    kind = call_type(part, own)
    item: JsonObject = {"type": kind}
    if call_id and not call_id.startswith("~"):
        item["id" if kind in _WITHOUT_CALL_ID else "call_id"] = call_id
    if kind in _NAMED_CALLS:
        item["name"] = part["name"]
    field = _field_to_fill(kind, own)
    arguments = part["arguments"]
    if field in BARE_FIELDS:
        item.update({field: arguments[field]} if field in arguments else {field: ""} if field == "input" else {})
    elif field == "arguments" and kind != "tool_search_call":
        item[field] = arguments_of(part)
    elif action := {**arguments, **_sources_of(own.get(field))}:
        item[field] = action
    return item, field


def _sources_of(action: Any) -> JsonObject:
    """Return the sources in the metadata of a call, which are a result and not an argument."""
    return {"sources": action["sources"]} if isinstance(action, dict) and "sources" in action else {}


def result_item(kind: str, call_id: str, output: str | list[JsonObject], text: str, *, is_failed: bool) -> JsonObject:
    """Return the item that answers a call.

    kind: the type of the call's item. output: the text, or blocks if there are attachments.
    """
    if kind == APPROVAL:
        reason = {"reason": text} if is_failed and text else {}
        return {"type": "mcp_approval_response", "approval_request_id": call_id, "approve": not is_failed, **reason}
    item: JsonObject = {"type": f"{kind}_output", "call_id": call_id}
    if kind == "local_shell_call":
        return {"type": item["type"], "id": call_id, "output": text}
    if kind == "shell_call":
        streams = {"stdout": "" if is_failed else text, "stderr": text if is_failed else ""}
        return {**item, "output": [{**streams, "outcome": {"type": "exit", "exit_code": int(is_failed)}}]}
    if kind == "apply_patch_call":
        return {**item, "status": "failed" if is_failed else "completed", "output": text}
    if kind == "computer_call":
        images = [block for block in output if isinstance(block, dict) and block.get("type") == "input_image"]
        screenshot = {"image_url": images[0].get("image_url")} if images else {}
        return {**item, "output": {"type": "computer_screenshot", **screenshot}}
    if kind == "tool_search_call":
        return {**item, "type": "tool_search_output", "execution": "client", "tools": _tools_in(text)}
    if kind not in ("function_call", "custom_tool_call"):
        item["type"] = "function_call_output"
    return {**item, "output": output}


def _tools_in(text: str) -> list[JsonObject]:
    """Return the tools that a search found: the result is a JSON array of them, else none."""
    try:
        return objects_of(loads(text))
    except InputError:
        return []


def output_in(item: JsonObject) -> str:
    """Return the text that a person would read in the result of a server's tool."""
    action = item.get("action")
    results: list[Any] = [objects_of(action.get("sources"))] if isinstance(action, dict) else []
    results += [item.get(name) for name in ("outputs", "results", "output", "result", "tools")]
    return readable_text(results, _READABLE_FIELDS)


def exception_in(item: JsonObject) -> str:
    """Return the error of a call that the server ran, "" if it succeeded."""
    error = item.get("error")
    if isinstance(error, dict):
        error = string_or_empty(error.get("message")) or error.get("type")
    return string_or_empty(error) or ("failed" if item.get("status") == "failed" else "")
