"""The graph of the log, drawn: for people with lines, for graphviz as DOT.

Rules:
* What follows without a choice stands below, one message a line; only where a conversation
  forks does the drawing go to the right.
"""

from __future__ import annotations

from ..records.conversation import text_of
from ..records.jsonl import dumps
from . import database
from .node import stored_message
from .store import UP, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..records.types import Message

    Row = dict[str, Any]

WIDTH = 60
_TREE = """
WITH RECURSIVE down (id) AS (
    SELECT id FROM node WHERE {} UNION ALL SELECT node.id FROM node JOIN down ON node.parent = down.id
) SELECT node.id, node.parent, node.hash, node.role, node.body,
    (SELECT status FROM response WHERE response.node = node.id ORDER BY response.id DESC LIMIT 1),
    (SELECT count(*) FROM response WHERE response.node = node.id)
FROM down JOIN node USING (id) ORDER BY node.id
"""


def rows(store: Store, ref: str | None) -> list[Row]:
    """Return the messages of the tree that a reference stands in, of all trees without one: each
    its id, its parent's, and what it is shown as."""
    with database.sqlite_errors(store.path):
        where, values = "parent IS NULL", []
        if ref is not None:
            node, _ = store.resolve(ref)
            statement = UP + "SELECT id FROM up WHERE parent IS NULL"
            where, values = "id = ?", [store.connection.execute(statement, (node,)).fetchone()[0]]
        names: dict[int, list[str]] = {}
        for name, node in store.connection.execute("SELECT name, node FROM name ORDER BY name"):
            names.setdefault(node, []).append(name)
        found = store.connection.execute(_TREE.format(where), values)
        return [{"id": row[0], "parent": row[1], "label": _label(names.get(row[0], []), *row[2:])} for row in found]


def _label(names: list[str], digest: bytes, role: str, body: str, status: str | None, responses: int) -> str:
    """Return what a message is shown as: the beginning of its hash, who says it, what."""
    marks = [f"[{name}]" for name in names]
    if status not in ("ok", None):
        marks.append(f"({status})")
    if responses > 1:
        marks.append(f"x{responses}")
    return " ".join([digest.hex()[:8], f"{role:9}", *marks, preview(stored_message(body))])


def preview(message: Message) -> str:
    """Return a message in a few words."""
    said = [text_of(message)]
    for part in message["parts"]:
        if part["type"] == "tool_call":
            said.append(f"{part['name']}({dumps(part['arguments']).decode()})")
        elif part["type"] == "tool_result":
            said.append(f"{part['name']}: {part['output']}")
        elif part["type"] == "attachment":
            attachment = part.get("attachment", {})
            said.append(f"<{attachment.get('name') or attachment.get('type') or 'attachment'}>")
    text = " ".join(" ".join(said).split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def drawn(found: list[Row]) -> Iterator[str]:
    """Yield the lines of the drawing for people."""
    children: dict[int | None, list[Row]] = {}
    for row in found:
        children.setdefault(row["parent"], []).append(row)
    roots = children.get(None, [])
    waiting = [(row, "", "") for row in reversed(roots)]
    while waiting:
        row, before, behind = waiting.pop()
        yield before + row["label"]
        after = children.get(row["id"], [])
        if len(after) == 1:
            waiting.append((after[0], behind, behind))
            continue
        for place, child in enumerate(reversed(after)):
            corner, line = ("└─ ", "   ") if place == 0 else ("├─ ", "│  ")
            waiting.append((child, behind + corner, behind + line))


def dot(found: list[Row]) -> Iterator[str]:
    """Yield the lines of the graph in DOT."""
    yield "digraph log {"
    yield "  node [shape=box, fontname=monospace];"
    for row in found:
        label = row["label"].replace("\\", "\\\\").replace('"', '\\"')
        yield f'  n{row["id"]} [label="{label}"];'
        if row["parent"] is not None:
            yield f"  n{row['parent']} -> n{row['id']};"
    yield "}"
