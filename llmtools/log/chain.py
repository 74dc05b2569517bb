"""A conversation on its way into the log: what of it has come, and what of that is stored.

Rules:
* `recorder.Recorder` fills chains from a stream; `store.Store` writes them, all or nothing.
* What was written once is not written again: `nodes` holds what came since then.
"""

from __future__ import annotations

from ..records.canonical import ROOT
from .node import Node, tool_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import Message, Record

UNFINISHED = "unfinished"
"""The status of a reply that was asked for, as long as it is not there."""


class Chain:
    """The messages of one conversation in order, the tools declared in it, and the failures of
    requests to which no reply came, each behind the message that was asked. Of messages and
    failures only those are here that are not stored yet."""

    def __init__(self, rest: str | None = None) -> None:
        self.nodes: list[Node] = []
        self.tools: list[tuple[int, str]] = []
        self.failures: list[tuple[bytes, dict[str, Any]]] = []
        self.rest = rest
        self.created: int | None = None
        self.is_changed = False
        self.base = ROOT
        self.hash = ROOT
        self.depth = 0

    def message(self, message: Message) -> None:
        """Add the next message. Raises InputError for one that has no canonical form."""
        node = Node(message, self.hash, self.depth + 1)
        self.nodes.append(node)
        self.hash, self.depth = node.hash, node.depth
        self.is_changed = True

    def tool(self, record: Record) -> None:
        """Add a tool that is declared here."""
        self.tools.append((self.depth, tool_body(record)))
        self.is_changed = True

    def failure(self, error: dict[str, Any]) -> None:
        """Add how a request failed to which no reply came."""
        self.failures.append((self.hash, error))
        self.is_changed = True

    def stored(self) -> None:
        """Say that everything so far is stored."""
        self.base = self.hash
        self.nodes = []
        self.failures = []
        self.is_changed = False
