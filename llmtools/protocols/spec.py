"""The data of a protocol: headers, options, finish reasons, server tools, lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..http.failure import RATE_LIMITS
from .options import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Blocks = dict[str, dict[str, Any]]

BEARER = ("authorization", "Bearer ")


def _openai_next_page(body: dict[str, Any]) -> dict[str, str]:
    """Return the query of the page behind `body`: https://platform.openai.com/docs/api-reference/files/list"""
    last = body.get("last_id")
    return {"after": last} if body.get("has_more") is True and isinstance(last, str) else {}


@dataclass(frozen=True, slots=True)
class Spec:
    """The data of one protocol.

    key_header: the header that carries the key, and the text before the key in it.
    options: the places of the options in a request.
    finish_reasons: the vendor's word for why a reply ended -> our finish_reason. Other words mean `stop`.
    server_tools: common name -> the block that asks for a tool that the vendor runs.
    server_tools_by_quirk: quirk -> the same for servers with that quirk, which comes first.
    url_types: beginnings of the MIME types that the vendor fetches by URL; "" is every type.
    url_types_by_quirk: quirk -> further ones for servers with that quirk.
    list_headers: headers of a request for the list of models.
    next_page: takes a page of that list; returns the query of the next page, {} after the last.
    rate_limits: matches the names of rate-limit headers; its groups are `kind` (limit,
    remaining, reset) and `what` (requests, tokens …).
    """

    name: str
    options: Places
    key_header: tuple[str, str] = BEARER
    finish_reasons: dict[str, str] = field(default_factory=dict)
    server_tools: Blocks = field(default_factory=dict)
    server_tools_by_quirk: dict[str, Blocks] = field(default_factory=dict)
    url_types: tuple[str, ...] = ()
    url_types_by_quirk: dict[str, tuple[str, ...]] = field(default_factory=dict)
    list_headers: dict[str, str] = field(default_factory=dict)
    next_page: Callable[[dict[str, Any]], dict[str, str]] = _openai_next_page
    rate_limits: re.Pattern[str] = RATE_LIMITS

    def finish_reason(self, word: str) -> str:
        """Return our finish_reason for the vendor's word."""
        return self.finish_reasons.get(word, "stop")

    def server_tool(self, name: str, quirks: Iterable[str] = ()) -> dict[str, Any] | None:
        """Return the block that asks for a tool by its common name, None if the protocol has no such tool."""
        tables = [self.server_tools_by_quirk.get(quirk, {}) for quirk in quirks]
        block = next((table[name] for table in (*tables, self.server_tools) if name in table), None)
        return None if block is None else dict(block)

    def url_begins(self, quirks: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the beginnings of the MIME types that the vendor fetches by URL."""
        return (*self.url_types, *(begin for quirk in quirks for begin in self.url_types_by_quirk.get(quirk, ())))
