"""Anthropic Messages, the request's messages.

Rules:
* A block is built from the neutral fields, and the issuer's own metadata is laid over it;
  the metadata of others is never sent. What only others can read (their reasoning, their
  servers' calls) is left out, which a notice tells, as it tells of every part that cannot
  be said here.
* The model's blocks go back as they came and in their order. Thinking without a signature
  (cut off) is not sent: the vendor refuses it.
* Messages of one side in a row become one; in a message of the user results come first.
* The leading system messages are the request's `system`; a later one stands behind the
  user's next words, where alone it may, unless the model is known to refuse it there.
* Ids of calls are kept where they fit `[A-Za-z0-9_-]+`, and made anew where they do not, or
  where one came twice: they are unique in a request. The same conversation gets the same.
* The vendor takes no empty text, no message whose text is all white space, and no white
  space behind a last message of the model's: these are not sent.

Quirks: `unsigned_thinking` (a server that signs nothing takes it back), `no_late_system` (a model
from before system messages were allowed behind others).

Facts: wire-protocols.md sections 0 and 3.
"""

from __future__ import annotations

import re

from ...errors import InputError
from ..builder import Builder, overlay, text_in_base64
from .results import cited_fields
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import (
        Attachment,
        Message,
        Part,
        ToolRecord,
    )
    from ..request import Request

    Wire = dict[str, Any]

_UNNAMED_TOOLS = ("mcp_toolset",)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_READABLE = ("text/", "application/json", "application/xml", "application/yaml", "application/x-ndjson")


class Messages(Builder):
    """Builds the messages of one request.

    `system` holds the blocks of the leading system messages, `container` the id of the one
    in which the model's code last ran.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self.system: list[Wire] = []
        self.container = ""
        self._has_late_system = "no_late_system" not in request.quirks
        self._late: list[Wire] = []
        self._ids: dict[str, str] = {}
        self._used: set[str] = set()

    def encode(self, messages: list[Message]) -> list[Wire]:
        """Return the messages on the wire. Raises InputError for an attachment whose bytes
        were not read."""
        wire: list[Wire] = []
        for message in self.counted(messages):
            self._add(wire, message)
        self._end_turn(wire)
        for said in wire:
            if said["role"] == "user":  # the vendor wants results in front
                said["content"].sort(key=lambda block: block.get("type") != "tool_result")
        _end_plainly(wire)
        return wire

    def own_tool(self, tool: ToolRecord, own: Wire) -> Wire:
        """Return the block of a tool of the vendor's own, by its name."""
        return own if own.get("type") in _UNNAMED_TOOLS else overlay({"name": tool["name"]}, own)

    def _add(self, wire: list[Wire], message: Message) -> None:
        role = message["role"]
        if role == "assistant":
            blocks = self._assistant(message)
            container = self.own(message).get("container")
            if isinstance(container, dict) and isinstance(container.get("id"), str):
                self.container = container["id"]
        else:
            blocks = [block for part in message["parts"] for block in self._blocks(part)]
        if role == "system":
            holder = self._late if wire and self._has_late_system else self.system
            holder += blocks
            if wire and blocks and holder is self.system:
                self._drop_place()
            return
        if role == "assistant":
            self._end_turn(wire)
        blocks = _without_blanks(blocks)
        side = "user" if role == "tool" else role
        if blocks and wire and wire[-1]["role"] == side:
            wire[-1]["content"] += blocks
        elif blocks:
            wire.append({"role": side, "content": blocks})

    def _end_turn(self, wire: list[Wire]) -> None:
        """Put the later system messages behind the user's words."""
        late, self._late = self._late, []
        if late and wire[-1]["role"] == "user":
            wire.append({"role": "system", "content": late})
        elif late:
            self.system += late
            self._drop_place()

    def _drop_place(self) -> None:
        self.drop("moved_system", "a later system message was sent with the first: it cannot stand where it stood")

    # ---- the user's side

    def _blocks(self, part: Part) -> list[Wire]:
        kind, own = part["type"], self.own(part)
        if kind == "text":
            return [overlay({"type": "text", "text": part["text"]}, own)] if part["text"] else []
        if kind == "tool_result" and not part.get("server_executed"):
            return [self._result(part, own)]
        if kind == "attachment":
            block = self._attachment(part.get("attachment", {}), own)
            return [overlay(block, own)] if block is not None else []
        if "type" in own:
            return [own]
        self.drop("dropped_part", f"a {kind} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: dict[str, Any]) -> Wire | None:
        """Return the block of an attachment, None where this protocol has none for it."""
        kind, name = attachment.get("type", ""), attachment.get("name", "")
        is_image = kind.startswith("image/") or (not kind and "url" in attachment)
        if "content" not in attachment and "url" not in attachment:
            if "path" in attachment:
                raise InputError(f"attachment {name or attachment['path']}: its bytes were not read")
            if own:
                return {"type": "image" if is_image else "document"}
            self.drop("dropped_attachment", "an attachment was not sent: its file is kept by another provider")
            return None
        titled = {"title": name} if name else {}
        if "url" in attachment and "content" not in attachment:
            if is_image or kind == "application/pdf":
                source = {"type": "url", "url": attachment["url"]}
                return {"type": "image" if is_image else "document", "source": source, **({} if is_image else titled)}
        elif kind in _IMAGES or kind == "application/pdf":
            source = {"type": "base64", "media_type": kind, "data": attachment["content"]}
            return {"type": "image" if is_image else "document", "source": source, **({} if is_image else titled)}
        elif kind.startswith(_READABLE):
            source = {"type": "text", "media_type": "text/plain", "data": text_in_base64(attachment["content"])}
            return {"type": "document", "source": source, **titled}
        how = f"{kind or 'unknown type'}{'' if 'content' in attachment else ', by URL'}"
        self.refuse(attachment, f"this protocol takes no {how}")
        return None

    def _result(self, part: Part, own: dict[str, Any]) -> Wire:
        text = part["output"]
        if "exception" in part and part["exception"] not in text:
            text = f"Error: {part['exception']}\n{text}".rstrip("\n")
        given = part.get("tool_call_id", "")
        block: Wire = {"type": "tool_result", "tool_use_id": self._ids.get(given) or self._wire_id(given)}
        attachments = [{"type": "attachment", "attachment": item} for item in part.get("attachments", ())]
        blocks = [attached for item in attachments for attached in self._blocks(item)]
        if blocks:
            block["content"] = [*([{"type": "text", "text": text}] if text else []), *blocks]
        elif text:
            block["content"] = text
        if "exception" in part:
            block["is_error"] = True
        return overlay(block, own)

    # ---- the model's side

    def _assistant(self, message: Message) -> list[Wire]:
        blocks: list[Wire] = []
        for place, part in enumerate(message["parts"]):
            kind, own = part["type"], self.own(part)
            block: Wire | None
            if kind in ("text", "refusal"):
                block = self._text(part, own)
            elif kind == "reasoning":
                block = self._reasoning(part, own)
            elif kind == "tool_call":
                block = self._call(part, place, own)
            elif kind == "tool_result" and own:
                given = part.get("tool_call_id", "")
                block = overlay({"tool_use_id": self._ids.get(given, given)}, own)
            elif own and kind != "attachment":
                block = own
            else:
                block = None
                self.drop("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
            if block is not None:
                blocks.append(block)
        return blocks

    def _text(self, part: Part, own: dict[str, Any]) -> Wire | None:
        if not part["text"]:
            return None
        block: Wire = {"type": "text", "text": part["text"]}
        citations = [self._citation(item) for item in part.get("annotations", ()) if self.own(item)]
        if citations:
            block["citations"] = citations
        if len(citations) < len(part.get("annotations", ())):
            self.drop("dropped_annotation", "sources of a reply were not sent: they belong to another provider")
        return overlay(block, own)

    def _citation(self, annotation: Wire) -> Wire:
        kind = annotation["kind"]
        cited = {theirs: annotation[ours] for ours, theirs in cited_fields(kind).items() if ours in annotation}
        return overlay({"type": kind, **cited}, self.own(annotation))

    def _reasoning(self, part: Part, own: dict[str, Any]) -> Wire | None:
        if part.get("redacted") and own.get("data"):
            return {"type": "redacted_thinking", **own}
        if own.get("signature"):
            return overlay({"type": "thinking", "thinking": part["text"]}, own)
        if "unsigned_thinking" in self._quirks and part["text"]:
            return {"type": "thinking", "thinking": part["text"], "signature": ""}
        why = "it has no signature of this provider's"
        self.drop("dropped_reasoning", f"reasoning of a reply was not sent: {why}")
        return None

    def _call(self, part: Part, place: int, own: dict[str, Any]) -> Wire | None:
        given = part.get("tool_call_id") or f"~{place}"
        if part.get("server_executed") and ("type" not in own or "exception" in part):
            why = "it was cut off" if own else "another provider ran it"
            self.drop("dropped_part", f"a call of a reply was not sent: {why}")
            return None
        arguments = part["arguments"]
        if "exception" in part and part.get("arguments_raw"):
            arguments = {"INVALID_JSON": part["arguments_raw"]}  # as the vendor's documentation wraps it
        call_id = self._ids[given] = self._wire_id(given)
        return overlay({"type": "tool_use", "id": call_id, "name": part["name"], "input": arguments}, own)

    def _wire_id(self, given: str) -> str:
        """Return the id of a call in this request: the given one where the vendor takes it."""
        call_id, is_fit, number = given, bool(_ID.fullmatch(given)), len(self._used)
        while call_id in self._used or not is_fit:
            call_id, is_fit = f"toolu_{number:05d}", True
            number += 1
        self._used.add(call_id)
        return call_id


def _without_blanks(blocks: list[Wire]) -> list[Wire]:
    """Return blocks without their texts, where these are nothing but white space together:
    the vendor takes blank ones only beside others."""
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    if any(isinstance(text, str) and text.strip() for text in texts):
        return blocks
    return [block for block in blocks if block.get("type") != "text"]


def _end_plainly(wire: list[Wire]) -> None:
    """Take the white space from the end of a last message of the model's: the vendor refuses it."""
    if not wire or wire[-1]["role"] != "assistant" or wire[-1]["content"][-1].get("type") != "text":
        return
    blocks = wire[-1]["content"]
    text = str(blocks[-1]["text"]).rstrip()
    blocks[-1:] = [{**blocks[-1], "text": text}] if text else []
    if not blocks:
        wire.pop()
