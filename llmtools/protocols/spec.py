"""The data of a protocol: headers, options, finish reasons, server tools, lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import OverloadedError, RequestError, TimedOutError, UnavailableError
from ..http.failure import RATE_LIMITS
from .options import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..errors import LlmToolsError

    Blocks = dict[str, dict[str, Any]]

_FAILURES = "error failed failure network_error abort aborted timeout timed_out server_error internal_error"
_FILTERS = "content_filter content_filtered sensitive safety recitation prohibited_content blocklist spii"
_LENGTHS = "length max_tokens max_output_tokens model_length repetition model_context_window_exceeded"
DIALECT_FINISH_REASONS: dict[str, str] = {
    **dict.fromkeys(_FAILURES.split(), "error"),
    **dict.fromkeys(("insufficient_system_resource", "malformed_function_call", "unexpected_tool_call"), "error"),
    **dict.fromkeys(_FILTERS.split(), "content_filter"),
    **dict.fromkeys(("guardrail_intervened", "image_safety"), "content_filter"),
    **dict.fromkeys(_LENGTHS.split(), "length"),
    **dict.fromkeys(("context_length_exceeded", "max_length", "token_limit"), "length"),
    **dict.fromkeys(("stop", "eos", "end_turn", "stop_sequence", "completed", "complete", "done"), "stop"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use", "tool_call"), "tool_calls"),
    "refusal": "refusal",
}
"""Words for why a reply ended, in lower case, that servers and gateways send in any protocol -> our finish_reason."""

USUAL_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What OpenAI (https://platform.openai.com/docs/guides/images-vision) and Anthropic
(https://platform.claude.com/docs/en/build-with-claude/vision) take."""

BEARER = ("authorization", "Bearer ")


def failure_of_finish(word: str, description: str = "") -> LlmToolsError:
    """Return the failure of a reply that ended with a word whose finish_reason is `error`.

    description: what the vendor says about it, "" for nothing.
    """
    lower = word.lower()
    cls: type[LlmToolsError] = UnavailableError
    if "resource" in lower or "overload" in lower:
        cls = OverloadedError
    elif "timeout" in lower or "timed_out" in lower:
        cls = TimedOutError
    elif lower == "missing_thought_signature":
        cls = RequestError
    return cls(f"the provider ended the reply: {word}" + (f": {description}" if description else ""))


def _openai_next_page(body: dict[str, Any]) -> dict[str, str]:
    """Return the query of the page behind `body`: https://platform.openai.com/docs/api-reference/files/list"""
    last = body.get("last_id")
    return {"after": last} if body.get("has_more") is True and isinstance(last, str) else {}


def google_next_page(body: dict[str, Any]) -> dict[str, str]:
    """Return the query of the page behind `body`: https://ai.google.dev/api/models#method:-models.list"""
    token = body.get("nextPageToken")
    return {"pageToken": token} if isinstance(token, str) and token else {}


@dataclass(frozen=True, slots=True)
class Spec:
    """The data of one protocol.

    key_header: the header that carries the key, and the text before the key in it.
    options: the places of the options in a request.
    finish_reasons: the vendor's word for why a reply ended -> our finish_reason, before those of
    `DIALECT_FINISH_REASONS`. Other words mean `stop`, with a notice.
    server_tools: common name -> the block that asks for a tool that the vendor runs.
    server_tools_by_quirk: quirk -> the same for servers with that quirk, which comes first.
    tool_fields: fields of a request beside `tools` that ask for other tools.
    image_types: the MIME types of the images that the vendor takes.
    url_types: beginnings of the MIME types that the vendor fetches by URL; "" is every type.
    url_types_by_quirk: quirk -> further ones for servers with that quirk.
    list_headers: headers of a request for the list of models.
    next_page: takes a page of that list; returns the query of the next page, {} after the last.
    rate_limits: matches the names of rate-limit headers; its groups are `kind` (limit,
    remaining, reset) and `what` (requests, tokens …).
    background_path: the path of a reply that the server writes in the background, with {id}; its
    path with /cancel stops it. "" if the protocol has none. background_events: the query of that
    path for the events behind {after}, as a stream.
    """

    name: str
    options: Places
    key_header: tuple[str, str] = BEARER
    finish_reasons: dict[str, str] = field(default_factory=dict)
    server_tools: Blocks = field(default_factory=dict)
    server_tools_by_quirk: dict[str, Blocks] = field(default_factory=dict)
    tool_fields: frozenset[str] = frozenset()
    image_types: tuple[str, ...] = USUAL_IMAGES
    url_types: tuple[str, ...] = ()
    url_types_by_quirk: dict[str, tuple[str, ...]] = field(default_factory=dict)
    list_headers: dict[str, str] = field(default_factory=dict)
    next_page: Callable[[dict[str, Any]], dict[str, str]] = _openai_next_page
    rate_limits: re.Pattern[str] = RATE_LIMITS
    background_path: str = ""
    background_events: str = ""

    def finish_reason(self, word: str) -> str:
        """Return our finish_reason for the vendor's word, `stop` for one that is not known."""
        return self._known_reason(word) or "stop"

    def has_finish(self, word: str) -> bool:
        """Return whether the vendor's word is known, or empty."""
        return not word or self._known_reason(word) is not None

    def _known_reason(self, word: str) -> str | None:
        common = word.strip().lower().replace("-", "_").replace(" ", "_")
        return self.finish_reasons.get(word) or DIALECT_FINISH_REASONS.get(common)

    def server_tool(self, name: str, quirks: Iterable[str] = ()) -> dict[str, Any] | None:
        """Return the block that asks for a tool by its common name, None if the protocol has no such tool."""
        tables = [self.server_tools_by_quirk.get(quirk, {}) for quirk in quirks]
        block = next((table[name] for table in (*tables, self.server_tools) if name in table), None)
        return None if block is None else dict(block)

    def top_level_fields(self) -> frozenset[str]:
        """Return the fields of a request beside `tools` that ask for tools of the vendor's."""
        tables = (self.server_tools, *self.server_tools_by_quirk.values())
        blocks = [block for table in tables for block in table.values()]
        return frozenset(name for block in blocks if "type" not in block for name in block) | self.tool_fields

    def server_tool_names(self, quirks: Iterable[str] = ()) -> list[str]:
        """Return the common names of the tools that a server with these quirks runs."""
        tables = [self.server_tools, *(self.server_tools_by_quirk.get(quirk, {}) for quirk in sorted(quirks))]
        return list(dict.fromkeys(name for table in tables for name in table))

    def url_begins(self, quirks: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the beginnings of the MIME types that the vendor fetches by URL."""
        return (*self.url_types, *(begin for quirk in quirks for begin in self.url_types_by_quirk.get(quirk, ())))
