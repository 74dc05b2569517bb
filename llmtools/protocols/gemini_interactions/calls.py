"""Gemini Interactions, the steps of calls and their results: steps to our fields and back.

Rules:
* A `function_call` is ours to run. All other calls the server ran, and it gives their results as
  steps too.
* The tool of a call has the name in the step, or that of the step's type: `google_search_call` calls
  `google_search`.
* The result of a server's tool goes back as it came. Its text is only for people to read.
"""

from __future__ import annotations

from ..builder import with_metadata
from ..json_fields import readable_text, string_of, string_or_empty, unhandled_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Part
    from ..json_fields import JsonObject

_TOOLS = (
    *("google_search", "code_execution", "url_context", "file_search", "google_maps", "mcp_server_tool"),
    *("retrieval", "tool_search", "processing"),
)
SERVER_CALLS = frozenset(f"{name}_call" for name in _TOOLS)
"""The types of the steps of calls that the server runs."""

RESULTS = frozenset(f"{name}_result" for name in (*_TOOLS, "function"))
"""The types of the steps of results."""

_WITHOUT_ARGUMENTS = ("file_search_call", "processing_call")
_NAMED_CALLS = ("mcp_server_tool_call",)
_READABLE_FIELDS = ("title", "name", "url", "text", "output", "places")


def tool_name(step: JsonObject) -> str:
    """Return the name of the tool that a step calls, or whose result it is."""
    kind = string_or_empty(step.get("type")).removesuffix("_call").removesuffix("_result")
    return string_or_empty(step.get("name")) or ("" if kind in ("function", "mcp_server_tool") else kind)


def arguments_text(step: JsonObject) -> str:
    """Return the arguments of a call as JSON text, "" if it has none."""
    arguments = step.get("arguments")
    return "" if arguments in (None, "", {}) else string_of(arguments)


def call_fields(step: JsonObject) -> JsonObject:
    """Return the fields of a server's call that the name, arguments and id of our part do not hold."""
    return unhandled_fields(step, _held_fields(string_or_empty(step.get("type"))))


def _held_fields(kind: str) -> frozenset[str]:
    """Return the fields of a call that our part holds."""
    return frozenset(("id", "name", "arguments") if kind in _NAMED_CALLS else ("id", "arguments"))


def is_call_of(part: Part, own: JsonObject) -> bool:
    """Return whether the metadata is that of the call of a server's tool, with the name of the part."""
    kind = string_or_empty(own.get("type"))
    return kind in SERVER_CALLS and (kind in _NAMED_CALLS or tool_name(own) == part["name"])


def call_step(part: Part, own: JsonObject, call_id: str) -> JsonObject:
    """Return the step of a call that the server ran; `own` is the metadata of the part."""
    kind = string_or_empty(own.get("type"))
    step: JsonObject = {"type": kind, **({"id": call_id} if call_id else {})}
    if kind in _NAMED_CALLS:
        step["name"] = part["name"]
    if part["arguments"] or kind not in _WITHOUT_ARGUMENTS:
        step["arguments"] = part["arguments"]
    return with_metadata(step, unhandled_fields(own, _held_fields(kind)))


def readable_result(step: JsonObject) -> str:
    """Return the text that a person would read in the result of a tool."""
    return readable_text(step.get("result"), _READABLE_FIELDS)


def result_fields(step: JsonObject) -> JsonObject:
    """Return the fields of a result that the output and id of our part do not hold."""
    is_text = isinstance(step.get("result"), str)
    metadata = {name: value for name, value in step.items() if value not in (None, "") and name != "call_id"}
    return {
        name: value
        for name, value in metadata.items()
        if not (name == "result" and is_text) and not (name == "is_error" and value is True)
    }


def result_step(part: Part, own: JsonObject, call_id: str) -> JsonObject:
    """Return the step of a result of the server's tool; `own` is the metadata of the part."""
    step: JsonObject = {"type": own["type"], **({"call_id": call_id} if call_id else {})}
    if part["output"] and "result" not in own:
        step["result"] = part["output"]
    if "exception" in part:
        step["is_error"] = True
    return with_metadata(step, own)
