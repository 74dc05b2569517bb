"""OpenAI Responses, the items of calls: what of an item is a call here, and the item of a call.

Rules:
* A call has its arguments in one field: as JSON text, as an object, or as a bare value,
  which is an argument by the name of the field (`input`, `code`, `queries`). Where a
  server uses another field than OpenAI, the metadata names it, as `field`.
* The id of a call is its call_id; what a server's own tool did has none, and the item's
  own id is taken.
* What the server ran itself is marked so; a shell, a patch or a click that is ours to run
  is a call like any other, and its result goes back in an item of its own type.
* The text of a server's result is for reading only, but for that of an MCP call.

Facts: wire-protocols.md section 2.
"""

from __future__ import annotations

from ...records.fold import arguments_of
from ...records.jsonl import dumps
from ..reply_writer import objects_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Part

    Wire = dict[str, Any]

PHASES = {"commentary": "commentary", "final_answer": "answer"}
"""The vendor's phases of a text and ours."""

FIELDS: dict[str, tuple[str, ...]] = {
    "function_call": ("arguments",),
    "custom_tool_call": ("input",),
    "mcp_call": ("arguments",),
    "web_search_call": ("action", "arguments"),
    "file_search_call": ("queries",),
    "code_interpreter_call": ("code",),
    "tool_search_call": ("arguments",),
    "shell_call": ("action",),
    "local_shell_call": ("action",),
    "apply_patch_call": ("operation",),
    "computer_call": ("action", "actions"),
}
"""The types of items that are calls, and where their arguments may stand, OpenAI's own field first."""

OUTPUTS = {"shell_call_output": "shell", "tool_search_output": "tool_search", "program_output": "program"}
"""The types of items that are results of a call the server ran, and the names of their tools."""

BARE = frozenset(("input", "code", "queries", "actions"))
"""Fields whose value is no object: it is the argument of that name."""

_NAMED = ("function_call", "custom_tool_call", "mcp_call")
_WITHOUT_CALL_ID = ("mcp_call", "web_search_call", "file_search_call", "code_interpreter_call")
_SAID = ("stdout", "stderr", "logs", "result", "title", "filename", "url", "text", "name")


def name_of(item: Wire) -> str:
    """Return the name of the tool that is called."""
    kind = text_in(item.get("type"))
    return text_in(item.get("name")) if kind in _NAMED else kind.removesuffix("_call")


def id_of(item: Wire) -> str:
    """Return the id of a call, "" where it has none."""
    return text_in(item.get("id" if item.get("type") in _WITHOUT_CALL_ID else "call_id"))


def is_served(item: Wire) -> bool:
    """Return whether the server runs the call itself."""
    kind = item.get("type")
    if kind == "shell_call":
        environment = item.get("environment")
        return isinstance(environment, dict) and environment.get("type") not in (None, "local")
    if kind == "tool_search_call":
        return item.get("execution") != "client"
    return kind not in ("function_call", "custom_tool_call", "local_shell_call", "apply_patch_call", "computer_call")


def field_of(item: Wire) -> str:
    """Return the field in which the arguments stand."""
    fields = FIELDS[item["type"]]
    return next((name for name in fields if item.get(name) not in (None, "")), fields[0])


def arguments_in(item: Wire) -> str:
    """Return the arguments of a call as JSON text, "" where it has none."""
    field = field_of(item)
    value = item.get(field)
    if value in (None, ""):
        return ""
    if field in BARE:
        return dumps({field: value}).decode()
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name != "sources"}  # which are a result
        return dumps(value).decode()
    return text_in(value)


def rest_of(item: Wire, call_id: str) -> Wire:
    """Return what of a call's item the name, arguments and id of the part do not give back."""
    kind, field = item["type"], field_of(item)
    rest = {name: value for name, value in item.items() if value not in (None, "", [], {}) and name != field}
    if kind == "function_call":
        rest.pop("type")
    if kind in _NAMED:
        rest.pop("name", None)
    if kind == "mcp_call" and isinstance(item.get("output"), str):
        rest.pop("output", None)
    rest.pop("call_id" if kind not in _WITHOUT_CALL_ID else "id" if item.get("id") == call_id else "", None)
    if field != FIELDS[kind][0]:
        rest["field"] = field
    value = item.get(field)
    if isinstance(value, dict) and "sources" in value:
        rest[field] = {"sources": value["sources"]}
    return rest


def item_of(part: Part, own: dict[str, Any], call_id: str) -> Wire:
    """Return the item of a call, less what the issuer's metadata lays over it."""
    kind = text_in(own.get("type"))
    kind = kind if kind in FIELDS else "function_call"
    item: Wire = {"type": kind}
    if call_id and not call_id.startswith("~"):
        item["id" if kind in _WITHOUT_CALL_ID else "call_id"] = call_id
    if kind in _NAMED:
        item["name"] = part["name"]
    field = own["field"] if own.get("field") in FIELDS[kind] else FIELDS[kind][0]
    arguments = part["arguments"]
    if field in BARE:
        item.update({field: arguments[field]} if field in arguments else {field: ""} if field == "input" else {})
    elif field == "arguments" and kind != "tool_search_call":
        item[field] = arguments_of(part)
    elif arguments:
        item[field] = arguments
    return item


def result_of(kind: str, call_id: str, output: str | list[Wire], text: str, *, is_failed: bool) -> Wire:
    """Return the item that answers a call whose item had the type `kind`."""
    item: Wire = {"type": f"{kind}_output", "call_id": call_id}
    if kind == "local_shell_call":
        return {"type": item["type"], "id": call_id, "output": text}
    if kind == "shell_call":
        said = {"stdout": "" if is_failed else text, "stderr": text if is_failed else ""}
        return {**item, "output": [{**said, "outcome": {"type": "exit", "exit_code": int(is_failed)}}]}
    if kind == "apply_patch_call":
        return {**item, "status": "failed" if is_failed else "completed", "output": text}
    if kind == "computer_call":
        images = [block for block in output if isinstance(block, dict) and block.get("type") == "input_image"]
        shown = {"image_url": images[0].get("image_url")} if images else {}
        return {**item, "output": {"type": "computer_screenshot", **shown}}
    if kind not in ("function_call", "custom_tool_call"):
        item["type"] = "function_call_output"
    return {**item, "output": output}


def readable(value: Any) -> str:
    """Return what a person would read of a result."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join([text for item in value if (text := readable(item))])
    if not isinstance(value, dict):
        return ""
    return "\n".join([text for name in _SAID if (text := text_in(value.get(name)).rstrip("\n"))])


def output_in(item: Wire) -> str:
    """Return what a person would read of what a tool of the server's gave back."""
    action = item.get("action")
    found: list[Any] = [objects_in(action.get("sources"))] if isinstance(action, dict) else []
    found += [item.get(name) for name in ("outputs", "results", "output", "result", "tools")]
    return readable(found)


def exception_in(item: Wire) -> str:
    """Return what went wrong with what the server ran, "" where nothing did."""
    error = item.get("error")
    said = text_in(error.get("message")) or text_in(error.get("type")) if isinstance(error, dict) else text_in(error)
    return said or ("failed" if item.get("status") == "failed" else "")
