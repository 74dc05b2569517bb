"""OpenAI Chat Completions, the thinking blocks of a LiteLLM proxy, which has Claude behind it.

Rules (https://docs.litellm.ai/docs/reasoning_content):
* A block is a reasoning part with `thinking_block`, the block without its text, in its metadata. It
  goes back in the field `thinking_blocks`, with its signature.
* In a stream the text of a block comes in pieces, the signature last: what follows is another block.
  The text comes in `reasoning_content` too, where it does not count.
"""

from __future__ import annotations

from ..json_fields import string_or_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter


class Thinking:
    """Writes the thinking blocks of one reply."""

    def __init__(self, writer: ReplyWriter) -> None:
        self._writer = writer
        self._index = -1
        self._block: JsonObject = {}

    def take(self, blocks: list[JsonObject], is_whole: bool) -> bool:
        """Take the blocks of a delta, or of a whole message; return whether they said something."""
        has_said = False
        for block in blocks:
            text = string_or_empty(block.get("thinking"))
            rest = {name: value for name, value in block.items() if name != "thinking" and value not in (None, "")}
            if not text and rest.keys() <= {"type"}:
                continue
            is_other = self._block.get("type") != rest.get("type") or self._is_complete()
            if self._index < 0 or is_whole or is_other:
                self._index, self._block = self._writer.new_index(), {}
            new = {name: value for name, value in rest.items() if self._block.get(name) != value}
            self._block = {**self._block, **rest}
            if text or new:
                has_said = True
                metadata = {"thinking_block": dict(self._block)} if new else None
                redacted: dict[str, Any] = {"redacted": True} if "data" in new else {}
                self._writer.add_chunk("reasoning", text, self._index, metadata, **redacted)
        return has_said

    def _is_complete(self) -> bool:
        return "signature" in self._block or "data" in self._block


def thinking_block_with_text(block: JsonObject, text: str) -> JsonObject:
    """Return a thinking block with its text, of which `thinking_block` in the metadata is the rest."""
    return block if "data" in block else {"type": "thinking", "thinking": text, **block}
