"""A conversation being stored: the messages so far, and which of them are in the database.

Rules:
* `recorder.Recorder` fills it from a stream; `store.Store` writes it, all or nothing.
* A message is written once: `nodes` has only the messages that came since the last write.
"""

from __future__ import annotations

from ..records.canonical import ROOT
from .node import Node, tool_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import Message, Record

UNFINISHED = "unfinished"
"""The status of a response while its request runs."""


class PendingConversation:
    """A conversation, with everything that is not in the database yet.

    nodes: the messages to store, in order. tools: [(number of messages before it, body)] of every
    tool so far. failures: [(hash of the last message, `response`)] of the requests without a reply.
    rest: the other fields of its conversation record, as JSON. created: Unix time in ms for messages
    that have none. base, hash: the hash of the last message in the database, and of the last one of all.
    depth: the number of messages.
    """

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

    def add_message(self, message: Message) -> None:
        """Add the next message. Raises InputError for one that has no canonical form."""
        node = Node(message, self.hash, self.depth + 1)
        self.nodes.append(node)
        self.hash, self.depth = node.hash, node.depth
        self.is_changed = True

    def add_tool(self, record: Record) -> None:
        """Add a tool that is declared after the messages so far."""
        self.tools.append((self.depth, tool_body(record)))
        self.is_changed = True

    def add_failure(self, response: dict[str, Any]) -> None:
        """Add the `response` of a request that failed without a reply."""
        self.failures.append((self.hash, response))
        self.is_changed = True

    def mark_stored(self) -> None:
        """Note that everything so far is in the database."""
        self.base = self.hash
        self.nodes = []
        self.failures = []
        self.is_changed = False
