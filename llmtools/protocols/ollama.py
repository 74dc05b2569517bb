"""Ollama native: /api/chat of an Ollama server, NDJSON.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* What the model's sampler takes goes under `options`, as Ollama names it, but for
  `max_tokens` (num_predict) and a single `stop`; an option of Ollama's own name wins.
* `stream` is always said: without it a server streams.
* A tool cannot be demanded here: `none` offers no tools, any other choice is a notice.

Facts: wire-protocols.md section 5.
"""

from __future__ import annotations

from ..errors import UsageError
from ..failure import error_of
from ..jsonl import dumps
from ..request import HttpRequest
from ..wire import overlay
from .ollama_decode import Decoder
from .ollama_messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..conversation import Conversation
    from ..request import Request
    from ..types import Record, ToolRecord

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

PATH = "/api/chat"

_TOP = frozenset(("keep_alive", "think", "format", "logprobs", "top_logprobs", "truncate", "shift"))
"""The options that stand beside the messages, not under `options`."""

_EFFORTS: dict[str, bool | str] = {"none": False, "minimal": "low", "xhigh": "high"}


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    if request.options.get("n", 1) not in (1, "1"):
        raise UsageError("-o n: only one answer can be asked for")
    messages = Messages(request.issuer)
    body: Wire = {"model": request.served_name, "messages": messages.encode(conversation.messages)}
    tools = _tools(conversation, request, messages)
    if tools:
        body["tools"] = tools
    if request.schema is not None:
        body["format"] = request.schema
    if request.reasoning is not None:
        body["think"] = _EFFORTS.get(request.reasoning, request.reasoning)
    body.update(_options(request))
    body["stream"] = request.stream
    accept = "application/x-ndjson" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    return HttpRequest(PATH, dumps(body), headers), list(messages.notices.values())


def _options(request: Request) -> Wire:
    given = {name: value for name, value in request.options.items() if name != "n"}
    top = {name: given.pop(name) for name in list(given) if name in _TOP}
    inner = given.pop("options", None)
    if "max_tokens" in given:
        given.setdefault("num_predict", given["max_tokens"])
        del given["max_tokens"]
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    given.update(inner if isinstance(inner, dict) else {})
    return {**top, "options": given} if given else top


def _tools(conversation: Conversation, request: Request, messages: Messages) -> list[Wire]:
    choice = request.tool_choice or "auto"
    if choice == "none":
        return []
    if choice != "auto":
        messages.drop("dropped_tool_choice", f"tool choice {choice} was not sent: this protocol has none")
    tools = []
    for tool in conversation.tools.values():
        own = tool.get("provider_metadata", {}).get(request.issuer, {})
        if "input_schema" in tool or not tool.get("provider_metadata"):
            tools.append(overlay(_function(tool), own))
        elif own:
            tools.append(own)
        else:
            messages.drop("dropped_tool", f"the tool {tool['name']} was not offered: it belongs to another provider")
    return tools


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"]}
    if "description" in tool:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return {"type": "function", "function": function}
