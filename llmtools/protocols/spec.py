"""The data of a protocol: headers, options, server tools, lists. Each folder has one, `SPEC`."""

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


def _next_page(body: dict[str, Any]) -> dict[str, str]:
    """https://platform.openai.com/docs/api-reference/files/list, which other lists of OpenAI's follow"""
    last = body.get("last_id")
    return {"after": last} if body.get("has_more") is True and isinstance(last, str) else {}


@dataclass(frozen=True, slots=True)
class Spec:
    """What is particular to one protocol.

    key_header: the header that carries the key, and what comes before the key in it.
    options: where the request has the options of a model.
    server_tools: common name -> the block that asks for a tool that the vendor runs.
    server_tools_by_quirk: the same for servers with a quirk; these come first.
    url_types: beginnings of the MIME types that the vendor fetches by URL; "" is every type.
    url_types_by_quirk: further ones, for servers with a quirk.
    list_headers: headers of a request for the list of models.
    next_page: the query of the next page of that list, empty after the last page.
    rate_limits: matches the names of rate-limit headers; its groups are `kind` (limit,
    remaining, reset) and `what` (requests, tokens …).
    """

    name: str
    options: Places
    key_header: tuple[str, str] = BEARER
    server_tools: Blocks = field(default_factory=dict)
    server_tools_by_quirk: dict[str, Blocks] = field(default_factory=dict)
    url_types: tuple[str, ...] = ()
    url_types_by_quirk: dict[str, tuple[str, ...]] = field(default_factory=dict)
    list_headers: dict[str, str] = field(default_factory=dict)
    next_page: Callable[[dict[str, Any]], dict[str, str]] = _next_page
    rate_limits: re.Pattern[str] = RATE_LIMITS

    def server_tool(self, name: str, quirks: Iterable[str] = ()) -> dict[str, Any] | None:
        """Return the block that asks for a tool by its common name, None where there is none."""
        tables = [self.server_tools_by_quirk.get(quirk, {}) for quirk in quirks]
        block = next((table[name] for table in (*tables, self.server_tools) if name in table), None)
        return None if block is None else dict(block)

    def url_begins(self, quirks: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the beginnings of the MIME types that the vendor fetches by URL."""
        return (*self.url_types, *(begin for quirk in quirks for begin in self.url_types_by_quirk.get(quirk, ())))
