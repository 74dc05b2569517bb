"""Tools that a vendor runs itself, by one name each, and how each protocol asks for them. Data.

A block is a tool of the request, but where it has no `type` of its own: then it stands
beside the tools (`web_search_options` of Chat, `generationConfig` of Gemini).

Facts: wire-protocols.md sections 1 to 4.
"""

from __future__ import annotations

from ..errors import InputError, UsageError
from ..records.jsonl import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..records.types import ToolRecord

SERVER_TOOLS: dict[str, dict[str, dict[str, Any]]] = {
    "openai-chat": {
        "web_search": {"web_search_options": {}},
    },
    "openai-responses": {
        "web_search": {"type": "web_search"},
        "code_execution": {"type": "code_interpreter", "container": {"type": "auto"}},
        "image_generation": {"type": "image_generation"},
        "file_search": {"type": "file_search"},
        "mcp": {"type": "mcp"},
    },
    "anthropic": {
        "web_search": {"type": "web_search_20250305", "name": "web_search"},
        "url_fetch": {"type": "web_fetch_20250910", "name": "web_fetch"},
        "code_execution": {"type": "code_execution_20250825", "name": "code_execution"},
        "tool_search": {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
    },
    "gemini": {
        "web_search": {"googleSearch": {}},
        "url_fetch": {"urlContext": {}},
        "code_execution": {"codeExecution": {}},
        "file_search": {"fileSearch": {}},
        "maps": {"googleMaps": {}},
        "image_generation": {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
    },
    "ollama": {},
}
"""Protocol -> common name -> the block that asks for it."""

QUIRKS = {"openrouter_tools": {"web_search": {"type": "openrouter:web_search"}}}
"""Quirk -> the blocks of such a server."""

NAMES = tuple(dict.fromkeys(name for blocks in SERVER_TOOLS.values() for name in blocks))
"""The common names."""


def server_tool(name: str, protocol: str, quirks: Iterable[str] = ()) -> dict[str, Any] | None:
    """Return the block that asks for a tool by its common name, None where there is none."""
    for quirk in quirks:
        if name in QUIRKS.get(quirk, {}):
            return dict(QUIRKS[quirk][name])
    block = SERVER_TOOLS.get(protocol, {}).get(name)
    return None if block is None else dict(block)


def tool_record(asked: str, protocol: str, issuer: str, quirks: Iterable[str] = ()) -> ToolRecord:
    """Return the `tool` record of a vendor's own tool, `NAME` or `NAME=JSON`: its fields are
    laid over the block of that name, or are the block.

    Raises UsageError for a name that the protocol does not have, and for what is no JSON object.
    """
    name, has_fields, text = asked.partition("=")
    block = server_tool(name, protocol, quirks)
    try:
        fields = loads(text.encode()) if has_fields else {}
    except InputError as error:
        raise UsageError(f"--server-tool {name}: {error.message}") from None
    if not isinstance(fields, dict):
        raise UsageError(f"--server-tool {name}: its fields are not a JSON object")
    if not name or (block is None and not fields):
        known = ", ".join(SERVER_TOOLS.get(protocol, {})) or "none"
        raise UsageError(f"--server-tool {name or asked!r}: {protocol or 'this model'} has {known}")
    return {"type": "tool", "name": name, "provider_metadata": {issuer: {**(block or {}), **fields}}}
