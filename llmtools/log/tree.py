"""Draws the graph of the log: with lines for people, as DOT for graphviz.

Rules:
* There is a line for each message. A single reply is below its message, at the same indentation;
  only a fork indents.
"""

from __future__ import annotations

from ..records.conversation import text_of
from ..records.jsonl import dumps
from . import database
from .node import load_message, one_line
from .store import UP, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..records.types import Message
    from .database import Row
_TREE = """
WITH RECURSIVE down (id) AS (
    SELECT id FROM node WHERE {} UNION ALL SELECT node.id FROM node JOIN down ON node.parent = down.id
) SELECT node.id, node.parent, node.hash, node.role, node.body,
    (SELECT status FROM response WHERE response.node = node.id ORDER BY response.id DESC LIMIT 1),
    (SELECT count(*) FROM response WHERE response.node = node.id)
FROM down JOIN node USING (id) ORDER BY node.id
"""


def tree_rows(store: Store, ref: str | None) -> list[Row]:
    """Return the messages of the tree that has the message `ref`, or of all trees: {id, parent, label}.

    Raises NoInputError, UsageError and OutputError.
    """
    with database.sqlite_errors(store.path):
        where, values = "parent IS NULL", []
        if ref is not None:
            node, _ = store.resolve(ref)
            statement = UP + "SELECT id FROM up WHERE parent IS NULL"
            where, values = "id = ?", [store.connection.execute(statement, (node,)).fetchone()[0]]
        names = store.names_by_node()
        rows = store.connection.execute(_TREE.format(where), values)
        return [{"id": row[0], "parent": row[1], "label": _label(names.get(row[0], []), *row[2:])} for row in rows]


def _label(names: list[str], digest: bytes, role: str, body: str, status: str | None, responses: int) -> str:
    """Return the label of a message: the beginning of its hash, its role, its names and its text."""
    marks = [f"[{name}]" for name in names]
    if status not in ("ok", None):
        marks.append(f"({status})")
    if responses > 1:
        marks.append(f"x{responses}")
    return " ".join([digest.hex()[:8], f"{role:9}", *marks, preview(load_message(body))])


def preview(message: Message) -> str:
    """Return a message as a short line."""
    texts = [text_of(message)]
    for part in message["parts"]:
        if part["type"] == "tool_call":
            texts.append(f"{part['name']}({dumps(part['arguments']).decode()})")
        elif part["type"] == "tool_result":
            texts.append(f"{part['name']}: {part['output']}")
        elif part["type"] == "attachment":
            attachment = part.get("attachment", {})
            texts.append(f"<{attachment.get('name') or attachment.get('type') or 'attachment'}>")
    return one_line(" ".join(texts))


def draw_lines(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the drawing for people."""
    children: dict[int | None, list[Row]] = {}
    for row in rows:
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
        for index, child in enumerate(reversed(after)):
            corner, line = ("└─ ", "   ") if index == 0 else ("├─ ", "│  ")
            waiting.append((child, behind + corner, behind + line))


def dot_lines(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the graph in DOT."""
    yield "digraph log {"
    yield "  node [shape=box, fontname=monospace];"
    for row in rows:
        label = row["label"].replace("\\", "\\\\").replace('"', '\\"')
        yield f'  n{row["id"]} [label="{label}"];'
        if row["parent"] is not None:
            yield f"  n{row['parent']} -> n{row['id']};"
    yield "}"
