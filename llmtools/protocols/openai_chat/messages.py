"""OpenAI Chat Completions, the messages of a request.

Rules:
* A block is built from the neutral fields, and the issuer's own metadata adds to it. The
  metadata of others is never sent.
* Reasoning goes back in the field in which it came, to the issuer that it came from, to no other.
* Calls that the server ran, annotations and sounds are not sent back to it: there is no field
  for them. A notice reports them if they go to another provider, as it reports every part that
  cannot be sent.
* An id of a call that the server does not take, or that came twice, is replaced. The same
  conversation always gets the same ids.

* A server that takes one system message gets all of them as the first. One that takes no message of
  the user behind a result gets a short one of the model between the two.

Quirks: `no_late_system` (one system message, at the beginning), `assistant_after_tool`, `developer`,
`short_ids` (nine letters and digits), `reasoning_with_calls` (a turn with calls needs
reasoning_content, even if empty), `tool_images`, `file_urls`, `video`, `document_url` (the form of a
PDF), `audio_string`, `prefix` (marks a message of the model to be continued).
"""

from __future__ import annotations

import re

from ...media_type import is_text_type
from ...records.fold import arguments_of
from ..builder import Builder, attachment_parts, named_text, result_text
from ..json_fields import objects_of, string_or_empty
from ..media_types import usual_type
from .content import block_with_text
from .spec import REASONING_FIELDS, SPEC
from .thinking import thinking_block_with_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Attachment, Message, Part
    from ..json_fields import JsonObject
    from ..request import Request

_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
_ACKNOWLEDGEMENT = "OK."
_SOUND_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
}


def _text_of(blocks: list[JsonObject]) -> str | None:
    """Return the text of blocks, None if they have anything but text."""
    if any(block.keys() != {"type", "text"} or block["type"] != "text" for block in blocks):
        return None
    return "".join([block["text"] for block in blocks])


def _has_sound_id(own: JsonObject) -> bool:
    """Return whether a part is a sound or its transcript, which the issuer knows by an id."""
    return isinstance(own.get("audio"), dict) and "id" in own["audio"]


def _thinking_block(own: JsonObject, text: str) -> JsonObject:
    """Return a block of thinking: as it came, if its texts still are the text of the part."""
    pieces = objects_of(own.get("thinking"))
    if text == "".join([string_or_empty(piece.get("text")) for piece in pieces]) and pieces:
        return own
    return {**own, "thinking": [{"type": "text", "text": text}]}


def _file_block(own: JsonObject) -> JsonObject:
    """Return the block of a file that the vendor has, whose id is in the metadata."""
    file, kind = own.get("file"), own.get("type")
    if isinstance(own.get("file_id"), str) and isinstance(kind, str) and "file" in kind:
        return {"type": kind, "file_id": own["file_id"]}
    named = {"file": {"file_id": file["file_id"]}} if isinstance(file, dict) and "file_id" in file else {}
    return {"type": "file", **named}


class _Turn:
    """One message of the model that is being built. is_own: whether this issuer sent it."""

    def __init__(self, is_own: bool) -> None:
        self.is_own = is_own
        self.blocks: list[JsonObject] = []
        self.fields: JsonObject = {}
        self.calls: list[JsonObject] = []

    def append(self, field: str, item: Any) -> None:
        self.fields.setdefault(field, []).append(item)

    def message(self) -> JsonObject:
        content: Any = _text_of(self.blocks)
        if content is None:
            content = self.blocks
        elif not content and (self.calls or self.fields.keys() & {"audio", "refusal"}):
            content = None
        calls = {"tool_calls": self.calls} if self.calls else {}
        return {"role": "assistant", "content": content, **self.fields, **calls}


class Messages(Builder):
    """Builds the messages of one request."""

    SHOWN = Builder.SHOWN.union(
        (
            *REASONING_FIELDS,
            "thinking_blocks",
            "reasoning_details",
            "type",
            "tool_call_id",
            "output",
            "audio",
            "images",
        ),
        ("video_url", "document_url", "file", "file_id", "file_data"),
    )
    SHOWN_TYPES = frozenset(("text", "output_text", "refusal", "thinking", "image_url"))

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self._result_blocks: list[JsonObject] = []

    def encode(self, messages: list[Message]) -> list[JsonObject]:
        """Return the messages on the wire. Raises InputError for an attachment whose bytes were not read."""
        encoded: list[JsonObject] = []
        messages = self.non_empty(messages)
        for message in self.with_one_system(messages) if "no_late_system" in self._quirks else messages:
            if message["role"] != "tool":
                encoded += self._attachments_of_results()
            encoded += [item for item in self._encode(message) if item.get("content") or len(item) > 2]
        encoded += self._attachments_of_results()
        if "assistant_after_tool" in self._quirks:
            encoded = self._with_assistant_after_tool(encoded)
        if "prefix" in self._quirks and encoded and encoded[-1]["role"] == "assistant":
            encoded[-1]["prefix"] = True
        return encoded

    def _with_assistant_after_tool(self, encoded: list[JsonObject]) -> list[JsonObject]:
        """Return messages with one of the model between a result and what the user says then
        ("Unexpected role 'user' after role 'tool'")."""
        spaced: list[JsonObject] = []
        for message in encoded:
            if message["role"] == "user" and spaced and spaced[-1]["role"] == "tool":
                spaced.append({"role": "assistant", "content": _ACKNOWLEDGEMENT})
                self.notice(
                    "added_message",
                    f'a message "{_ACKNOWLEDGEMENT}" of the model was sent between a tool result and the user\'s next '
                    "words: this provider requires one",
                )
            spaced.append(message)
        return spaced

    def _attachments_of_results(self) -> list[JsonObject]:
        """Return a message of the user with the blocks that the last results could not hold, if there are any."""
        blocks, self._result_blocks = self._result_blocks, []
        return [{"role": "user", "content": blocks}] if blocks else []

    def _encode(self, message: Message) -> list[JsonObject]:
        own = self.own_metadata(message)
        if message["role"] == "system" and own.get("role") == "developer":
            return [self._message_of("developer", message["parts"], own)]
        if message["role"] == "assistant":
            return [self.with_metadata(self._assistant(message), own)]
        encoded = [self._result(part) for part in message["parts"] if part["type"] == "tool_result"]
        rest = [part for part in message["parts"] if part["type"] != "tool_result"]
        if rest:
            role = "developer" if message["role"] == "system" and "developer" in self._quirks else message["role"]
            encoded.append(self._message_of("user" if role == "tool" else role, rest, own))
        return encoded

    def _message_of(self, role: str, parts: list[Part], own: JsonObject) -> JsonObject:
        return self.with_metadata({"role": role, "content": self._content(parts)}, own)

    # ---- the user's side

    def _content(self, parts: list[Part]) -> str | list[JsonObject]:
        blocks = [block for part in parts for block in self._blocks(part)]
        text = _text_of(blocks)
        return text if text is not None and len(blocks) <= 1 else blocks

    def _blocks(self, part: Part) -> list[JsonObject]:
        own = self.own_metadata(part)
        if part["type"] == "text":
            return [self.with_metadata({"type": "text", "text": part["text"]}, own)]
        if part["type"] == "attachment":
            block = self._attachment(part.get("attachment", {}), own)
            return [self.with_metadata(block, own)] if block is not None else []
        if block := self.unknown_block(part, own):
            return [block]
        self.notice("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: JsonObject) -> JsonObject | None:
        """Return the block of an attachment, None if it cannot be sent."""
        self.check_bytes(attachment)
        if "content" in attachment or "url" in attachment:
            block = self._sendable(attachment)
            if block is None:
                self.refuse_type(attachment)
            return block
        if own:
            return _file_block(own)
        self.notice_foreign_file()
        return None

    def _sendable(self, attachment: Attachment) -> JsonObject | None:
        """Return the block of an attachment that has bytes or a URL, None for a type that is not taken."""
        kind, name = usual_type(attachment.get("type", "")), attachment.get("name", "")
        is_inline = "content" in attachment
        if is_text_type(kind):
            return {"type": "text", "text": named_text(attachment)} if is_inline else None
        uri = f"data:{kind};base64,{attachment['content']}" if is_inline else attachment["url"]
        if self.is_taken_image(kind) or (not kind and "url" in attachment):
            return {"type": "image_url", "image_url": {"url": uri}}
        if kind.startswith("audio/") and is_inline:
            return self._sound(kind, attachment["content"])
        if kind.startswith("video/") and "video" in self._quirks:
            return {"type": "video_url", "video_url": {"url": uri}}
        if kind == "application/pdf" and "document_url" in self._quirks:
            return {"type": "document_url", "document_url": uri, **({"document_name": name} if name else {})}
        if kind == "application/pdf" and (is_inline or "file_urls" in self._quirks):
            return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": uri}}
        return None

    def _sound(self, kind: str, content: str) -> JsonObject:
        if "audio_string" in self._quirks:
            return {"type": "input_audio", "input_audio": content}
        sound_format = _SOUND_FORMATS.get(kind, kind.removeprefix("audio/"))
        return {"type": "input_audio", "input_audio": {"data": content, "format": sound_format}}

    def _result(self, part: Part) -> JsonObject:
        text = result_text(part)
        call_id = part.get("tool_call_id", "")
        wire_id = self._call_ids.get(call_id) or self._new_id(call_id, is_own=False)
        content: str | list[JsonObject] = text
        blocks = [block for item in attachment_parts(part) for block in self._blocks(item)]
        if blocks and "tool_images" in self._quirks:
            content = [*([{"type": "text", "text": text}] if text else []), *blocks]
        elif blocks:
            note = f"Attached to the result of {part['name']} ({wire_id}):"
            self._result_blocks += [{"type": "text", "text": note}, *blocks]
        return self.with_metadata(
            {"role": "tool", "tool_call_id": wire_id, "content": content}, self.own_metadata(part)
        )

    # ---- the model's side

    def _assistant(self, message: Message) -> JsonObject:
        turn = _Turn(message.get("response", {}).get("provider") == self._issuer)
        for place, part in enumerate(message["parts"]):
            kind, own = part["type"], self.own_metadata(part)
            if kind == "text":
                self._add_text(turn, part, own)
            elif kind == "reasoning":
                self._add_reasoning(turn, part, own)
            elif kind == "tool_call" and not part.get("server_executed"):
                turn.calls.append(self._call(part, place, turn.is_own, own))
            elif kind == "refusal":
                self._add_refusal(turn, part)
            elif kind == "attachment":
                self._add_attachment(turn, part, own)
            elif block := self.unknown_block(part, own):
                turn.blocks.append(block)
            elif not turn.is_own:
                self.notice("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        encoded = turn.message()
        if turn.calls and "reasoning_with_calls" in self._quirks:
            encoded.setdefault("reasoning_content", "")
        return encoded

    def _add_text(self, turn: _Turn, part: Part, own: JsonObject) -> None:
        if _has_sound_id(own):
            turn.fields["audio"] = {"id": own["audio"]["id"]}
        elif part["text"] or own:
            turn.blocks.append(self.with_metadata({"type": "text", "text": part["text"]}, own))
        for annotation in part.get("annotations", ()):
            block = self.own_metadata(annotation)
            if block.get("type") == "file":  # the server need not read a file again
                turn.append("annotations", block)
            elif not turn.is_own:
                self.notice(
                    "dropped_annotation", "sources of a text were not sent: this protocol has no place for them"
                )

    def _add_reasoning(self, turn: _Turn, part: Part, own: JsonObject) -> None:
        text, kind = part["text"], own.get("type")
        if not own:
            self.notice("dropped_reasoning", "reasoning of a reply was not sent: it belongs to another provider")
        elif isinstance(own.get("thinking_block"), dict):
            turn.append("thinking_blocks", thinking_block_with_text(own["thinking_block"], text))
        elif kind == "thinking" and isinstance(own.get("thinking"), str):
            turn.blocks.append({**own, "thinking": text})
        elif kind == "thinking":
            turn.blocks.append(_thinking_block(own, text))
        elif isinstance(own.get("content_block"), dict):
            turn.blocks.append(block_with_text(own["content_block"], text))
        elif isinstance(kind, str):
            fields = {"summary" if kind == "reasoning.summary" else "text": text}
            has_text = text or kind in ("reasoning.summary", "reasoning.text")
            turn.append("reasoning_details", {**own, **(fields if has_text else {})})
        else:
            field = own["field"] if own.get("field") in REASONING_FIELDS else REASONING_FIELDS[0]
            turn.fields[field] = turn.fields.get(field, "") + text

    def _add_refusal(self, turn: _Turn, part: Part) -> None:
        if turn.is_own:
            turn.fields["refusal"] = turn.fields.get("refusal", "") + part["text"]
        else:
            turn.blocks.append({"type": "text", "text": part["text"]})

    def _add_attachment(self, turn: _Turn, part: Part, own: JsonObject) -> None:
        if _has_sound_id(own):
            turn.fields["audio"] = {"id": own["audio"]["id"]}
        elif own.get("field") in ("images", "content"):
            block = self._attachment(part.get("attachment", {}), own) or {}
            block = self.with_metadata(block, {name: value for name, value in own.items() if name != "field"})
            if own["field"] == "images":
                turn.append("images", block)
            else:
                turn.blocks.append(block)
        elif "of" not in own:
            self.notice(
                "dropped_attachment", "a file that a model made was not sent: a reply cannot hold one in this protocol"
            )

    def _call(self, part: Part, place: int, is_own: bool, own: JsonObject) -> JsonObject:
        call_id = part.get("tool_call_id") or f"~{place}"
        wire_id = self._call_ids[call_id] = self._new_id(call_id, is_own)
        if own.get("type") == "custom" and part["arguments"].keys() <= {"input"}:
            custom = {"name": part["name"], "input": part["arguments"].get("input", "")}
            return self.with_metadata({"id": wire_id, "type": "custom", "custom": custom}, own)
        function = {"name": part["name"], "arguments": arguments_of(part)}
        return self.with_metadata({"id": wire_id, "type": "function", "function": function}, own)

    def _new_id(self, call_id: str, is_own: bool) -> str:
        is_short = "short_ids" in self._quirks
        is_valid = bool((_SHORT_ID if is_short else _VALID_ID).fullmatch(call_id))
        is_valid = is_valid or (is_own and bool(call_id) and not is_short)
        return self.unique_id(call_id, is_valid and not call_id.startswith("~"), "call")
