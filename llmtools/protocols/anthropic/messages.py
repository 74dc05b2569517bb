"""Anthropic Messages, the messages of a request.

Rules:
* A block is built from the neutral fields, and the issuer's own metadata adds to it. The
  metadata of others is never sent. Parts that only others can read (their reasoning, their
  servers' calls) and parts that this protocol cannot hold are left out, with a notice.
* The model's blocks go back unchanged and in their order. Thinking without a signature (it was
  cut off) is not sent: the vendor refuses it.
* Successive messages of one side become one. In a message of the user, results come first.
* The leading system messages are the request's `system`. A later one goes behind the user's
  next words, the only place where the vendor allows it, unless the model refuses it there.
* An id of a call that does not fit `[A-Za-z0-9_-]+`, or that came twice, is replaced. The same
  conversation always gets the same ids.
* The vendor refuses empty texts, messages whose text is all white space, and white space at the
  end of a last message of the model. These are not sent.

Quirks: `unsigned_thinking` (a server that signs nothing takes its thinking back),
`no_late_system` (the model refuses system messages behind others).
"""

from __future__ import annotations

import re

from ...media_type import is_text_type
from ..builder import Builder, attachment_parts, result_text, text_in_base64, with_metadata
from ..json_fields import string_or_empty
from ..media_types import usual_type
from .results import citation_fields
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import (
        Attachment,
        Message,
        Part,
        ToolRecord,
    )
    from ..json_fields import JsonObject
    from ..request import Request

_UNNAMED_TOOLS = ("mcp_toolset",)
_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Messages(Builder):
    """Builds the messages of one request.

    system: the blocks of the leading system messages. container: the id of the container in
    which the model's code ran last, "" if none did.
    """

    SHOWN = Builder.SHOWN | {"type", "source", "id", "name", "tool_use_id"}
    SHOWN_TYPES = frozenset(("text", "thinking", "redacted_thinking", "tool_use", "tool_result"))

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self.system: list[JsonObject] = []
        self.container = ""
        self._has_late_system = "no_late_system" not in request.quirks
        self._late_system: list[JsonObject] = []

    def encode(self, messages: list[Message]) -> list[JsonObject]:
        """Return the messages on the wire. Raises InputError for an attachment whose bytes were not read."""
        turns: list[JsonObject] = []
        for message in self.non_empty(messages):
            self._add(turns, message)
        self._end_turn(turns)
        for turn in turns:
            if turn["role"] == "user":  # the vendor wants the results in front
                turn["content"].sort(key=lambda block: block.get("type") != "tool_result")
        _strip_end(turns)
        return turns

    def vendor_tool(self, tool: ToolRecord, own: JsonObject) -> JsonObject:
        """Return the block of one of the vendor's own tools, with its name."""
        return own if own.get("type") in _UNNAMED_TOOLS else {"name": tool["name"], **own}

    def _add(self, turns: list[JsonObject], message: Message) -> None:
        role = message["role"]
        if role == "system":
            self._add_system(turns, [block for part in message["parts"] for block in self._blocks(part)])
            return
        if role == "assistant":
            blocks = self._assistant(message)
            container = self.own_metadata(message).get("container")
            if isinstance(container, dict) and isinstance(container.get("id"), str):
                self.container = container["id"]
            self._end_turn(turns)
        else:
            blocks = [block for part in message["parts"] for block in self._blocks(part)]
        blocks = _without_blank_texts(blocks)
        side = "user" if role == "tool" else role
        if blocks and turns and turns[-1]["role"] == side:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": side, "content": blocks})

    def _add_system(self, turns: list[JsonObject], blocks: list[JsonObject]) -> None:
        if turns and self._has_late_system:
            self._late_system += blocks
            return
        self.system += blocks
        if turns and blocks:
            self.notice_moved_system()

    def _end_turn(self, turns: list[JsonObject]) -> None:
        """Put the later system messages behind the user's words."""
        late, self._late_system = self._late_system, []
        if late and turns[-1]["role"] == "user":
            turns.append({"role": "system", "content": late})
        elif late:
            self.system += late
            self.notice_moved_system()

    # ---- the user's side

    def _blocks(self, part: Part) -> list[JsonObject]:
        kind, own = part["type"], self.own_metadata(part)
        if kind == "text":
            return [self.with_metadata({"type": "text", "text": part["text"]}, own)] if part["text"] else []
        if kind == "tool_result" and not part.get("server_executed"):
            return [self._result(part, own)]
        if kind == "attachment":
            block = self._attachment(part.get("attachment", {}), own)
            return [self.with_metadata(block, own)] if block is not None else []
        if block := self.unknown_block(part, own):
            return [block]
        self.notice("dropped_part", f"a {kind} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: JsonObject) -> JsonObject | None:
        """Return the block of an attachment, None if it cannot be sent."""
        kind = usual_type(attachment.get("type", ""))
        is_image = self.is_taken_image(kind) or (not kind and "url" in attachment)
        block_type = "image" if is_image else "document"
        self.check_bytes(attachment)
        if "content" in attachment:
            source = _inline_source(kind, attachment["content"], is_image=is_image)
        elif "url" in attachment:
            is_allowed = is_image or kind == "application/pdf"
            source = {"type": "url", "url": attachment["url"]} if is_allowed else None
        elif own:
            return _file_block(kind, own)
        else:
            self.notice_foreign_file()
            return None
        if source is None:
            self.refuse_type(attachment)
            return None
        title = {"title": attachment["name"]} if attachment.get("name") and not is_image else {}
        return {"type": block_type, "source": source, **title}

    def _result(self, part: Part, own: JsonObject) -> JsonObject:
        text = result_text(part)
        call_id = part.get("tool_call_id", "")
        block: JsonObject = {"type": "tool_result", "tool_use_id": self._call_ids.get(call_id) or self._new_id(call_id)}
        blocks = [block for item in attachment_parts(part) for block in self._blocks(item)]
        if blocks:
            block["content"] = [*([{"type": "text", "text": text}] if text else []), *blocks]
        elif text:
            block["content"] = text
        if "exception" in part:
            block["is_error"] = True
        return self.with_metadata(block, own)

    # ---- the model's side

    def _assistant(self, message: Message) -> list[JsonObject]:
        blocks: list[JsonObject] = []
        for place, part in enumerate(message["parts"]):
            kind, own = part["type"], self.own_metadata(part)
            block: JsonObject | None
            if kind in ("text", "refusal"):
                block = self._text(part, own)
            elif kind == "reasoning":
                block = self._reasoning(part, own)
            elif kind == "tool_call":
                block = self._call(part, place, own)
            elif kind == "tool_result":
                block = self._server_result(part, own)
            else:
                block = self.unknown_block(part, own)
            if block is None and kind not in ("text", "refusal", "reasoning", "tool_call"):
                self.notice("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
            if block is not None:
                blocks.append(block)
        return blocks

    def _server_result(self, part: Part, own: JsonObject) -> JsonObject | None:
        """Return the block of a result of the server's tool, which goes back as it came."""
        if not string_or_empty(own.get("type")).endswith("_tool_result"):
            return None
        call_id = part.get("tool_call_id", "")
        return {**own, "tool_use_id": self._call_ids.get(call_id, call_id)}

    def _text(self, part: Part, own: JsonObject) -> JsonObject | None:
        if not part["text"]:
            return None
        block: JsonObject = {"type": "text", "text": part["text"]}
        annotations = part.get("annotations", ())
        citations = [self._citation(item) for item in annotations if self.own_metadata(item)]
        if citations:
            block["citations"] = citations
        if len(citations) < len(annotations):
            self.notice("dropped_annotation", "sources of a reply were not sent: they belong to another provider")
        return self.with_metadata(block, own)

    def _citation(self, annotation: JsonObject) -> JsonObject:
        kind = annotation["kind"]
        fields = {theirs: annotation[ours] for ours, theirs in citation_fields(kind).items() if ours in annotation}
        return with_metadata({"type": kind, **fields}, self.own_metadata(annotation))

    def _reasoning(self, part: Part, own: JsonObject) -> JsonObject | None:
        if part.get("redacted") and own.get("data"):
            return self.with_metadata({"type": "redacted_thinking"}, own)
        if own.get("signature"):
            return self.with_metadata({"type": "thinking", "thinking": part["text"]}, own)
        if "unsigned_thinking" in self._quirks and part["text"]:
            return {"type": "thinking", "thinking": part["text"], "signature": ""}
        self.notice("dropped_reasoning", "reasoning of a reply was not sent: it has no signature of this provider")
        return None

    def _call(self, part: Part, place: int, own: JsonObject) -> JsonObject | None:
        call_id = part.get("tool_call_id") or f"~{place}"
        served = string_or_empty(own.get("type"))
        is_fit = served.endswith("tool_use") and served != "tool_use"
        if part.get("server_executed") and (not is_fit or "exception" in part):
            why = "it was cut off" if own else "another provider ran it"
            self.notice("dropped_part", f"a call of a reply was not sent: {why}")
            return None
        arguments = part["arguments"]
        if "exception" in part and part.get("arguments_raw"):
            arguments = {"INVALID_JSON": part["arguments_raw"]}  # as the vendor's documentation wraps it
        self._call_ids[call_id] = self._new_id(call_id)
        kind = served if part.get("server_executed") else "tool_use"
        block = {"type": kind, "id": self._call_ids[call_id], "name": part["name"], "input": arguments}
        return self.with_metadata(block, own)

    def _new_id(self, call_id: str) -> str:
        return self.unique_id(call_id, bool(_VALID_ID.fullmatch(call_id)), "toolu_")


def _file_block(kind: str, own: JsonObject) -> JsonObject:
    """Return the block of a file that the vendor has. Its metadata names the file, and holds none."""
    if own.get("type") == "container_upload":
        return {"type": "container_upload"}
    source = own.get("source")
    named = {"source": source} if isinstance(source, dict) and source.get("type") == "file" else {}
    return {"type": "image" if kind.startswith("image/") else "document", **named}


def _inline_source(kind: str, content: str, *, is_image: bool) -> JsonObject | None:
    """Return the source of an attachment in base64, None for a type that the vendor does not take."""
    if is_image or kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": content}
    if is_text_type(kind):
        return {"type": "text", "media_type": "text/plain", "data": text_in_base64(content)}
    return None


def _without_blank_texts(blocks: list[JsonObject]) -> list[JsonObject]:
    """Return blocks without their texts if all of these are blank: the vendor takes a blank text
    only beside others."""
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    if any(isinstance(text, str) and text.strip() for text in texts):
        return blocks
    return [block for block in blocks if block.get("type") != "text"]


def _strip_end(turns: list[JsonObject]) -> None:
    """Remove the white space at the end of a last message of the model: the vendor refuses it."""
    if not turns or turns[-1]["role"] != "assistant" or turns[-1]["content"][-1].get("type") != "text":
        return
    blocks = turns[-1]["content"]
    text = str(blocks[-1]["text"]).rstrip()
    blocks[-1:] = [{**blocks[-1], "text": text}] if text else []
    if not blocks:
        turns.pop()
