"""OpenAI Responses, the items of a request's input.

Rules:
* An item is built from the neutral fields, and the issuer's own metadata adds to it. The
  metadata of others is never sent. Parts that only others can read (their reasoning, their
  servers' calls) and parts that this protocol cannot hold are left out, with a notice.
* The model's items go back unchanged and in their order, the parts of one item together. A text
  that is not an item of this issuer is a message with plain text.
* Reasoning goes back with its ciphertext, or with its open text if the server gave one. Without
  both, only a server that stores it (the option `store`) knows it.
* System messages stay at their places, in the role `system`, which every model and server of
  this protocol takes; `instructions` could hold only the first of them.
* An id of a call that is not the issuer's own and does not fit `[A-Za-z0-9_-]{1,64}`, or that
  came twice, is replaced. The same conversation always gets the same ids.
"""

from __future__ import annotations

import re

from ...errors import UsageError
from ...media_type import is_text_type
from ..builder import (
    Builder,
    attachment_parts,
    name_and_description,
    named_text,
    result_text,
    with_metadata,
)
from ..json_fields import string_or_empty
from ..media_types import usual_type
from .calls import (
    OUTPUT_TOOLS,
    PHASE_NAMES,
    call_type,
    item_of,
    result_item,
)
from .parts import annotation_fields
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

_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFUSED_TYPES = ("audio/", "video/")
_VENDOR_PHASES = {ours: theirs for theirs, ours in PHASE_NAMES.items()}
_INTERNAL_FIELDS = ("of", "block", "field")
"""Fields of our metadata that are not fields of the vendor's item."""


def _item_fields(own: JsonObject) -> JsonObject:
    return {name: value for name, value in own.items() if name not in _INTERNAL_FIELDS}


def _content_fields(own: JsonObject) -> JsonObject:
    block = own.get("block")
    return block if isinstance(block, dict) else {}


class Messages(Builder):
    """Builds the input of one request."""

    SHOWN = Builder.SHOWN | {"type", "call_id", "approve", "file_url", "file_data", "filename", "result"}
    SHOWN_TYPES = frozenset(
        (
            *("message", "reasoning", "function_call", "function_call_output", "custom_tool_call"),
            *("custom_tool_call_output", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"),
            *("item_reference",),
        )
    )

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self._is_stored = request.options.get("store", False) is not False
        self._call_types: dict[str, str] = {}
        self._callers: dict[str, JsonObject] = {}

    def encode(self, messages: list[Message]) -> list[JsonObject]:
        """Return the items on the wire.

        Raises InputError for an attachment whose bytes were not read, UsageError if the last
        message is the model's own and it did not pause.
        """
        items: list[JsonObject] = []
        messages = self.non_empty(messages)
        last = messages[-1] if messages else None
        if last and last["role"] == "assistant" and last.get("response", {}).get("finish_reason") != "pause":
            raise UsageError("a message of the model cannot be continued in this protocol")
        for message in messages:
            items += self._assistant(message) if message["role"] == "assistant" else self._user(message)
        return items

    def vendor_tool(self, tool: ToolRecord, own: JsonObject) -> JsonObject:
        """Return the block of a tool that is not a function. Only a custom tool has a name."""
        return with_metadata(name_and_description(tool), own) if own.get("type") == "custom" else own

    # ---- the user's side

    def _user(self, message: Message) -> list[JsonObject]:
        items: list[JsonObject] = []
        contents: list[JsonObject] = []
        role = "user" if message["role"] == "tool" else message["role"]
        for part in message["parts"]:
            own = self.own_metadata(part)
            if part["type"] == "tool_result" and not part.get("server_executed"):
                items.append(self._result(part, own))
            elif block := self.unknown_block(part, own):
                items.append(block)
            else:
                contents += self._contents(part, own)
        if contents:
            is_plain = len(contents) == 1 and contents[0].keys() == {"type", "text"}
            content = contents[0]["text"] if is_plain else contents
            item = {"type": "message", "role": role, "content": content}
            items.append(self.with_metadata(item, self.own_metadata(message)))
        return items

    def _contents(self, part: Part, own: JsonObject) -> list[JsonObject]:
        if part["type"] == "text":
            return [self.with_metadata({"type": "input_text", "text": part["text"]}, own)]
        if part["type"] == "attachment":
            block = self._attachment(part.get("attachment", {}), own)
            return [self.with_metadata(block, own)] if block is not None else []
        self.notice("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: JsonObject) -> JsonObject | None:
        """Return the content of an attachment, None if it cannot be sent."""
        kind, name = usual_type(attachment.get("type", "")), attachment.get("name", "")
        is_text = is_text_type(kind)
        is_image = (kind.startswith("image/") and not is_text) or (not kind and "url" in attachment)
        is_inline = "content" in attachment
        detail = {"detail": own.get("detail", "auto")}
        self.check_bytes(attachment)
        if not is_inline and "url" not in attachment:
            if own:
                return {"type": "input_image", **detail} if is_image else {"type": "input_file"}
            self.notice_foreign_file()
            return None
        uri = f"data:{kind};base64,{attachment['content']}" if is_inline else attachment["url"]
        if is_image and (not kind or self.is_taken_image(kind)):
            return {"type": "input_image", **detail, "image_url": uri}
        if is_text and is_inline and own.get("type") != "input_file":
            return {"type": "input_text", "text": named_text(attachment)}
        if is_image or kind.startswith(_REFUSED_TYPES):
            self.refuse_type(attachment)
            return None
        if not is_inline:
            return {"type": "input_file", "file_url": uri}
        return {"type": "input_file", "filename": name or f"file.{kind.rpartition('/')[2] or 'bin'}", "file_data": uri}

    def _result(self, part: Part, own: JsonObject) -> JsonObject:
        text = result_text(part)
        call_id = part.get("tool_call_id", "")
        wire_id = self._call_ids.get(call_id) or self._new_id(call_id, is_own=False)
        blocks = [block for item in attachment_parts(part) for block in self._contents(item, {})]
        output: str | list[JsonObject] = text
        if blocks:
            output = [*([{"type": "input_text", "text": text}] if text else []), *blocks]
        kind = self._call_types.get(wire_id, "function_call")
        item = result_item(kind, wire_id, output, text, is_failed="exception" in part)
        return self.with_metadata({**item, **self._callers.get(wire_id, {})}, own)

    # ---- the model's side

    def _assistant(self, message: Message) -> list[JsonObject]:
        items: list[JsonObject] = []
        by_id: dict[str, JsonObject] = {}
        for place, part in enumerate(message["parts"]):
            own = self.own_metadata(part)
            if "of" in own and self._add_to(by_id.get(string_or_empty(own["of"])), part, own):
                continue
            item = self._item(part, place, own)
            if item is None:
                continue
            if items and _is_plain_message(item, items[-1]):
                items[-1]["content"] += item["content"]
                continue
            items.append(item)
            by_id[string_or_empty(item.get("id"))] = item
        return [item for item in items if self._is_readable(item)]

    def _item(self, part: Part, place: int, own: JsonObject) -> JsonObject | None:
        kind = part["type"]
        if kind in ("text", "refusal"):
            return self._message(part, own)
        if kind == "reasoning":
            item = self.with_metadata({"type": "reasoning", "summary": []}, _item_fields(own))
            self._add_thought(item, part, own)
            return item
        if kind == "tool_call":
            return self._call(part, place, own)
        if kind == "attachment" and own.get("type") == "image_generation_call":
            return self.with_metadata({"type": own["type"], "result": part.get("attachment", {}).get("content")}, own)
        if kind == "tool_result" and own.get("type") in OUTPUT_TOOLS:
            call_id = part.get("tool_call_id", "")
            identity = {} if call_id.startswith("~") else {"call_id": self._call_ids.get(call_id, call_id)}
            return {**own, **identity}
        if content := self.unknown_block(part, _content_fields(own)):
            item = {"type": "message", "role": "assistant", "content": [content]}
            return self.with_metadata(item, _item_fields(own))
        if kind == "message" and own.get("content") == []:
            return self.with_metadata({"type": "message", "role": "assistant", "content": []}, own)
        if block := self.unknown_block(part, own):
            return block
        what = "a file that a model made" if kind == "attachment" else f"a {kind} part of a reply"
        self.notice("dropped_part", f"{what} was not sent: it does not belong to this provider")
        return None

    def _message(self, part: Part, own: JsonObject) -> JsonObject | None:
        phase = _VENDOR_PHASES.get(part.get("phase", ""))
        fields = {"phase": phase} if phase else {}
        message: JsonObject = {"type": "message", "role": "assistant"}
        if own:
            return self.with_metadata({**message, "content": [self._content(part, own)], **fields}, _item_fields(own))
        if part.get("annotations"):
            self.notice("dropped_annotation", "sources of a reply were not sent: they belong to another provider")
        return {**message, "content": part["text"], **fields} if part["text"] else None

    def _content(self, part: Part, own: JsonObject) -> JsonObject:
        """Return the content of a text in a message of this issuer."""
        block: JsonObject = {"type": "refusal", "refusal": part["text"]}
        if part["type"] == "text":
            annotations = [self._annotation(item) for item in part.get("annotations", ())]
            block = {"type": "output_text", "text": part["text"], "annotations": annotations}
        return self.with_metadata(block, _content_fields(own))

    def _annotation(self, annotation: JsonObject) -> JsonObject:
        kind = annotation["kind"]
        names = {**annotation_fields(kind), "start": "start_index", "end": "end_index"}
        fields = {theirs: annotation[ours] for ours, theirs in names.items() if ours in annotation}
        return with_metadata({"type": kind, **fields}, self.own_metadata(annotation))

    def _is_readable(self, item: JsonObject) -> bool:
        """Return whether the server can read an item: reasoning needs a ciphertext or an open text."""
        if item["type"] != "reasoning" or item.get("encrypted_content") or item.get("content"):
            return True
        if self._is_stored and item.get("id"):
            return True
        self.notice("dropped_reasoning", "reasoning of a reply was not sent: it has no ciphertext of this provider")
        return False

    def _add_to(self, item: JsonObject | None, part: Part, own: JsonObject) -> bool:
        """Add a further part to its item; return whether it belongs to that."""
        if item is None:
            return False
        kind = part["type"]
        if item["type"] == "message" and kind in ("text", "refusal"):
            item["content"].append(self._content(part, own))
        elif item["type"] == "message" and (content := self.unknown_block(part, _content_fields(own))):
            item["content"].append(content)
        elif item["type"] == "reasoning" and kind == "reasoning":
            self._add_thought(item, part, own)
        elif item["type"] == "mcp_call" and kind == "tool_result" and part["output"]:
            item["output"] = part["output"]
        else:
            return kind == "tool_result" and bool(part.get("server_executed"))
        return True

    def _add_thought(self, item: JsonObject, part: Part, own: JsonObject) -> None:
        """Add a text to an item of reasoning: to its summary, or to its content."""
        block = _content_fields(own)
        if part["text"] or block:
            kind = block.get("type", "summary_text")
            block = self.with_metadata({"type": kind, "text": part["text"]}, block)
            item.setdefault("summary" if kind == "summary_text" else "content", []).append(block)

    def _call(self, part: Part, place: int, own: JsonObject) -> JsonObject | None:
        call_id = part.get("tool_call_id") or f"~{place}"
        is_served = bool(part.get("server_executed"))
        if is_served and (call_type(part, own) == "function_call" or "exception" in part):
            why = "it was cut off" if own else "another provider ran it"
            self.notice("dropped_part", f"a call of a reply was not sent: {why}")
            return None
        wire_id = call_id if is_served else self._new_id(call_id, is_own=bool(own))
        self._call_ids[call_id] = wire_id
        item, field = item_of(part, own, wire_id)
        item = self.with_metadata(item, {name: value for name, value in _item_fields(own).items() if name != field})
        self._call_types[wire_id] = item["type"]
        self._callers[wire_id] = {"caller": item["caller"]} if item.get("caller") else {}
        return item

    def _new_id(self, call_id: str, *, is_own: bool) -> str:
        is_vendors = bool(call_id) and not call_id.startswith("~")
        return self.unique_id(call_id, is_vendors and (is_own or bool(_VALID_ID.fullmatch(call_id))), "call_")


def _is_plain_message(*items: JsonObject) -> bool:
    """Return whether items are messages with plain text and the same phase."""
    is_text = all(item["type"] == "message" and isinstance(item.get("content"), str) for item in items)
    return is_text and len({item.get("phase") for item in items}) == 1
