"""OpenAI Chat Completions, the request's messages.

Rules:
* A block is built from the neutral fields, and the issuer's own metadata is laid over it;
  the metadata of others is never sent.
* Reasoning goes back in the field it came in, to the issuer it came from, to no other.
* Calls that the server ran itself, annotations and sounds are not sent back to it: there
  is no field for them. To another provider they are lost, which a notice tells, as it
  tells of every part that cannot be said here.
* Ids of calls are kept where the target takes them, and made anew where it does not, or
  where one came twice: they are unique in a request. The same conversation gets the same.

Quirks: `developer`, `short_ids` (nine letters and digits), `reasoning_with_calls` (a turn
with calls needs reasoning_content, be it empty), `tool_images`, `file_urls`, `video`,
`document_url` (how it takes a PDF), `audio_string`, `prefix` (marks a message of the model that is to be continued).

Facts: wire-protocols.md sections 0.10 and 1.
"""

from __future__ import annotations

import re

from ...errors import InputError
from ...records.fold import arguments_of
from ..builder import Builder, overlay, text_in_base64
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Attachment, Message, Part
    from ..request import Request

    Wire = dict[str, Any]

_ANY_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
_SOUNDS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav"}
_REASONING = ("reasoning_content", "reasoning")
_READABLE = ("text/", "application/json", "application/xml", "application/yaml", "application/x-ndjson")


def _text_of(blocks: list[Wire]) -> str | None:
    """Return the text of blocks that say nothing but text."""
    if any(block.keys() != {"type", "text"} or block["type"] != "text" for block in blocks):
        return None
    return "".join([block["text"] for block in blocks])


def _has_sound(own: dict[str, Any]) -> bool:
    """Return whether the issuer knows the part as sound, by an id."""
    return isinstance(own.get("audio"), dict) and "id" in own["audio"]


class _Turn:
    """One message of the model as it is put together."""

    def __init__(self, is_own: bool) -> None:
        self.is_own = is_own
        self.blocks: list[Wire] = []
        self.fields: Wire = {}
        self.calls: list[Wire] = []

    def append(self, field: str, item: Any) -> None:
        self.fields.setdefault(field, []).append(item)

    def message(self) -> Wire:
        content: Any = _text_of(self.blocks)
        if content is None:
            content = self.blocks
        elif not content and (self.calls or self.fields.keys() & {"audio", "refusal"}):
            content = None
        calls = {"tool_calls": self.calls} if self.calls else {}
        return {"role": "assistant", "content": content, **self.fields, **calls}


class Messages(Builder):
    """Builds the messages of one request."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self._ids: dict[str, str] = {}
        self._used: set[str] = set()
        self._behind: list[Wire] = []

    def encode(self, messages: list[Message]) -> list[Wire]:
        """Return the messages on the wire. Raises InputError for an attachment whose bytes
        were not read."""
        wire: list[Wire] = []
        for message in self.counted(messages):
            if message["role"] != "tool":
                wire += self._moved()
            wire += [said for said in self._encode(message) if said.get("content") or len(said) > 2]
        wire += self._moved()
        if "prefix" in self._quirks and wire and wire[-1]["role"] == "assistant":
            wire[-1]["prefix"] = True
        return wire

    def _moved(self) -> list[Wire]:
        """Return the message with what the results before could not hold."""
        blocks, self._behind = self._behind, []
        return [{"role": "user", "content": blocks}] if blocks else []

    def _encode(self, message: Message) -> list[Wire]:
        own = self.own(message)
        if message["role"] == "assistant":
            return [overlay(self._assistant(message), own)]
        results = [part for part in message["parts"] if part["type"] == "tool_result"]
        wire = [self._result(part) for part in results]
        rest = [part for part in message["parts"] if part["type"] != "tool_result"]
        if rest:
            role = "developer" if message["role"] == "system" and "developer" in self._quirks else message["role"]
            wire.append(overlay({"role": "user" if role == "tool" else role, "content": self._content(rest)}, own))
        return wire

    # ---- the user's side

    def _content(self, parts: list[Part]) -> str | list[Wire]:
        blocks = [block for part in parts for block in self._blocks(part)]
        text = _text_of(blocks)
        return text if text is not None and len(blocks) <= 1 else blocks

    def _blocks(self, part: Part) -> list[Wire]:
        own = self.own(part)
        if part["type"] == "text":
            return [overlay({"type": "text", "text": part["text"]}, own)]
        if part["type"] == "attachment":
            block = self._attachment(part.get("attachment", {}), own)
            return [overlay(block, own)] if block is not None else []
        if own:
            return [own]
        self.drop("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: dict[str, Any]) -> Wire | None:
        """Return the block of an attachment, None where this protocol has none for it."""
        kind, name = attachment.get("type", ""), attachment.get("name", "")
        if "content" not in attachment and "url" not in attachment:
            if "path" in attachment:
                raise InputError(f"attachment {name or attachment['path']}: its bytes were not read")
            if own:
                return {"type": "file"} if "file" in own else {}
            self.drop("dropped_attachment", "an attachment was not sent: its file is kept by another provider")
            return None
        is_inline = "content" in attachment
        uri = f"data:{kind};base64,{attachment['content']}" if is_inline else attachment["url"]
        if kind.startswith("image/") or (not kind and "url" in attachment):
            return {"type": "image_url", "image_url": {"url": uri}}
        if kind.startswith("audio/") and is_inline:
            return self._sound(kind, attachment["content"])
        if kind.startswith("video/") and "video" in self._quirks:
            return {"type": "video_url", "video_url": {"url": uri}}
        if kind.startswith(_READABLE) and is_inline:
            return {"type": "text", "text": text_in_base64(attachment["content"])}
        if kind == "application/pdf" and "document_url" in self._quirks:
            return {"type": "document_url", "document_url": uri, **({"document_name": name} if name else {})}
        if kind == "application/pdf" and (is_inline or "file_urls" in self._quirks):
            return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": uri}}
        how = f"{kind or 'unknown type'}{'' if is_inline else ', by URL'}"
        self.refuse(attachment, f"this protocol takes no {how}")
        return None

    def _sound(self, kind: str, content: str) -> Wire:
        if "audio_string" in self._quirks:
            return {"type": "input_audio", "input_audio": content}
        form = _SOUNDS.get(kind, kind.removeprefix("audio/"))
        return {"type": "input_audio", "input_audio": {"data": content, "format": form}}

    def _result(self, part: Part) -> Wire:
        text = part["output"]
        if "exception" in part and part["exception"] not in text:
            text = f"Error: {part['exception']}\n{text}".rstrip("\n")
        given = part.get("tool_call_id", "")
        call_id = self._ids.get(given) or self._wire_id(given, is_own=False)
        content: str | list[Wire] = text
        attachments = [{"type": "attachment", "attachment": item} for item in part.get("attachments", ())]
        blocks = [block for item in attachments for block in self._blocks(item)]
        if blocks and "tool_images" in self._quirks:
            content = [*([{"type": "text", "text": text}] if text else []), *blocks]
        elif blocks:
            note = f"Attached to the result of {part['name']} ({call_id}):"
            self._behind += [{"type": "text", "text": note}, *blocks]
        return overlay({"role": "tool", "tool_call_id": call_id, "content": content}, self.own(part))

    # ---- the model's side

    def _assistant(self, message: Message) -> Wire:
        turn = _Turn(message.get("response", {}).get("provider") == self._issuer)
        for place, part in enumerate(message["parts"]):
            kind, own = part["type"], self.own(part)
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
            elif own and kind not in ("tool_call", "tool_result"):
                turn.blocks.append(own)
            elif not turn.is_own:
                self.drop("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        wire = turn.message()
        if turn.calls and "reasoning_with_calls" in self._quirks:
            wire.setdefault("reasoning_content", "")
        return wire

    def _add_text(self, turn: _Turn, part: Part, own: dict[str, Any]) -> None:
        if _has_sound(own):
            turn.fields["audio"] = {"id": own["audio"]["id"]}
        elif part["text"] or own:
            turn.blocks.append(overlay({"type": "text", "text": part["text"]}, own))
        for annotation in part.get("annotations", ()):
            block = self.own(annotation)
            if block.get("type") == "file":  # a file the server has read need not be read again
                turn.append("annotations", block)
            elif not turn.is_own:
                self.drop("dropped_annotation", "sources of a text were not sent: this protocol has no place for them")

    def _add_reasoning(self, turn: _Turn, part: Part, own: dict[str, Any]) -> None:
        text, kind = part["text"], own.get("type")
        if not own:
            self.drop("dropped_reasoning", "reasoning of a reply was not sent: it belongs to another provider")
        elif kind == "thinking" and isinstance(own.get("thinking"), str):
            turn.blocks.append({**own, "thinking": text})
        elif kind == "thinking":
            turn.blocks.append(overlay({"thinking": [{"type": "text", "text": text}]}, own))
        elif isinstance(kind, str):
            said = {"reasoning.text": {"text": text}, "reasoning.summary": {"summary": text}}.get(kind, {})
            turn.append("reasoning_details", overlay(said, own))
        else:
            field = own["field"] if own.get("field") in _REASONING else _REASONING[0]
            turn.fields[field] = turn.fields.get(field, "") + text

    def _add_refusal(self, turn: _Turn, part: Part) -> None:
        if turn.is_own:
            turn.fields["refusal"] = turn.fields.get("refusal", "") + part["text"]
        else:
            turn.blocks.append({"type": "text", "text": part["text"]})

    def _add_attachment(self, turn: _Turn, part: Part, own: dict[str, Any]) -> None:
        if _has_sound(own):
            turn.fields["audio"] = {"id": own["audio"]["id"]}
        elif own.get("field") in ("images", "content"):
            block = self._attachment(part.get("attachment", {}), own) or {}
            block = overlay(block, {name: value for name, value in own.items() if name != "field"})
            if own["field"] == "images":
                turn.append("images", block)
            else:
                turn.blocks.append(block)
        elif "of" not in own:
            self.drop("dropped_attachment", "a file made by a model was not sent: a reply holds none here")

    def _call(self, part: Part, place: int, is_own: bool, own: dict[str, Any]) -> Wire:
        given = part.get("tool_call_id") or f"~{place}"
        call_id = self._ids[given] = self._wire_id(given, is_own)
        if own.get("type") == "custom":
            custom = {"name": part["name"], "input": part["arguments"].get("input", "")}
            return overlay({"id": call_id, "type": "custom", "custom": custom}, own)
        function = {"name": part["name"], "arguments": arguments_of(part)}
        return overlay({"id": call_id, "type": "function", "function": function}, own)

    def _wire_id(self, given: str, is_own: bool) -> str:
        """Return the id of a call in this request: the given one where the target takes it."""
        pattern = _SHORT_ID if "short_ids" in self._quirks else _ANY_ID
        is_fit = bool(pattern.fullmatch(given)) or (is_own and bool(given) and "short_ids" not in self._quirks)
        call_id = given
        number = len(self._used)
        while call_id in self._used or not is_fit or call_id.startswith("~"):
            call_id, is_fit = f"call{number:05d}", True
            number += 1
        self._used.add(call_id)
        return call_id
