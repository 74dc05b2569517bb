"""OpenAI Chat Completions, the content of a reply: a string, or a list of blocks.

Rules:
* A string continues the one text of the reply. Each block of a list is a part; blocks of one type
  that follow each other in a stream are one part.
* Texts, refusals, thoughts and images are decoded. Thoughts come as `thinking` (Mistral) or as
  `reasoning` with a summary, a content or a text (Databricks and others). `content_block` in
  the metadata of the latter is the block without its text.
* A block of another type is kept whole under its type, and under `TYPE_block` if that is the name
  of a part of ours.
* A value that is neither a string nor a block is text.
"""

from __future__ import annotations

from ..json_fields import list_of, objects_of, string_of, string_or_empty, unhandled_fields
from ..reply_writer import PART_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter
    from .media import Media

_REASONING_TYPES = frozenset(("reasoning", "reasoning_text", "summary_text", "reasoning_content", "thought"))
_REASONING_FIELDS = ("summary", "content", "text", "reasoning", "reasoning_text", "reasoning_content", "thinking")
_TEXT_TYPES = frozenset(("text", "output_text"))


def _pieces_of(value: Any) -> list[Any]:
    """Return the pieces of thoughts that a field holds; [] if it holds anything else."""
    pieces = list_of(value)
    is_known = all(isinstance(piece, str) or (isinstance(piece, dict) and "text" in piece) for piece in pieces)
    return pieces if is_known else []


def block_with_text(block: JsonObject, text: str) -> JsonObject:
    """Return a block of reasoning with its text, of which `content_block` in the metadata is the rest."""
    field = next((name for name in _REASONING_FIELDS if name in block), "text")
    holder = block.get(field)
    if not isinstance(holder, list) or not holder:
        return {**block, field: text}
    return {**block, field: [{**holder[0], "text": text} if isinstance(holder[0], dict) else text]}


class Content:
    """Writes the content of one reply."""

    def __init__(self, writer: ReplyWriter, media: Media) -> None:
        self._writer = writer
        self._media = media
        self._block = ""
        self._reasoning_block: JsonObject = {}

    def take(self, content: Any, is_whole: bool) -> None:
        """Take the content of a delta, or of a whole message."""
        writer = self._writer
        if isinstance(content, str):
            if content:
                writer.add_chunk("text", content, writer.index_of("text"))
            return
        for block in list_of(content):
            if isinstance(block, dict):
                self._take_block(block, string_or_empty(block.get("type")), is_whole)
            elif text := string_of(block):
                writer.add_chunk("text", text, writer.index_of("text"))

    def _take_block(self, block: JsonObject, kind: str, is_whole: bool) -> None:
        writer = self._writer
        is_decoded = False
        if kind in _TEXT_TYPES or (not kind and isinstance(block.get("text"), str)):
            is_decoded = self._take_text(block, is_whole)
        elif kind == "thinking" and isinstance(block.get("thinking"), (str, list)):
            is_decoded = self._take_thinking(block, is_whole)
        elif kind in _REASONING_TYPES or kind == "thinking":
            is_decoded = self._take_reasoning(block, is_whole)
        elif kind == "refusal" and string_or_empty(block.get("refusal")):
            writer.add_chunk("refusal", block["refusal"], writer.index_of("refusal"))
            is_decoded = True
        elif kind == "image_url":
            is_decoded = self._media.take_image(block, "content")
        if not is_decoded:
            self._block = kind or "unknown"
            kind = f"{kind}_block" if kind and kind in PART_TYPES else kind or "unknown"
            part = {"type": kind, "provider_metadata": {writer.issuer: block}}
            writer.add({"type": "part", "part_index": writer.new_index(), "part": part})

    def _take_text(self, block: JsonObject, is_whole: bool) -> bool:
        """Take a block of text; return whether it is one."""
        text = block.get("text")
        if isinstance(text, dict):
            text = text.get("value")
        if text is not None and not isinstance(text, (str, int, float)):
            return False
        self._begin_block("text", is_whole)
        metadata = unhandled_fields(block, frozenset(("type", "text", "annotations", "logprobs")))
        if text := string_of(text):
            self._writer.add_chunk("text", text, self._writer.index_of("text"), metadata)
        elif metadata:
            self._writer.add_chunk("text", "", self._writer.index_of("text"), metadata)
        for annotation in objects_of(block.get("annotations")):
            self._media.take_annotation(annotation)
        return True

    def _take_thinking(self, block: JsonObject, is_whole: bool) -> bool:
        """Take a block of thinking. Its text is a string, or a list of blocks of text and others."""
        thinking = block.get("thinking")
        is_string = isinstance(thinking, str)
        pieces = [{"type": "text", "text": thinking}] if is_string else objects_of(thinking)
        self._begin_block("thinking", is_whole)
        is_new = "thinking" not in self._writer.indices
        metadata = {field: block[field] for field in block if field != "thinking" and block[field] is not None}
        if not is_new:
            del metadata["type"]
        if is_string:
            metadata["thinking"] = ""  # `messages` fills in the text
        elif any(piece.get("type") != "text" for piece in pieces) or (is_whole and len(pieces) > 1):
            metadata["thinking"] = thinking
        text = "".join([string_of(piece.get("text")) for piece in pieces])
        self._writer.add_chunk("reasoning", text, self._writer.index_of("thinking"), metadata)
        return True

    def _take_reasoning(self, block: JsonObject, is_whole: bool) -> bool:
        """Take a block of reasoning; return whether its text was found."""
        field = next((name for name in _REASONING_FIELDS if _pieces_of(block.get(name))), "")
        if not field:
            return False
        pieces = _pieces_of(block[field])
        texts = [string_of(piece.get("text")) if isinstance(piece, dict) else piece for piece in pieces]
        self._begin_block("reasoning_block", is_whole)
        before = self._reasoning_block if "reasoning_block" in self._writer.indices else {}
        empty: Any = ""
        if isinstance(block[field], list):
            fields = {name: value for piece in pieces if isinstance(piece, dict) for name, value in piece.items()}
            earlier = before.get(field) or [""]
            inner = {**(earlier[0] if isinstance(earlier[0], dict) else {}), **fields}
            empty = [{**inner, "text": ""} if inner else ""]
        self._reasoning_block = {**before, **block, field: empty}
        metadata = {"content_block": self._reasoning_block} if self._reasoning_block != before else None
        if metadata or any(texts):
            self._writer.add_chunk("reasoning", "".join(texts), self._writer.index_of("reasoning_block"), metadata)
        return True

    def _begin_block(self, kind: str, is_whole: bool) -> None:
        """Make the next chunk of `kind` begin a new part if another block came in between."""
        if self._block and (is_whole or self._block != kind):
            self._writer.indices.pop(kind, None)
        self._block = kind
