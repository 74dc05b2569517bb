"""OpenAI Responses, the request's input: messages to items.

Rules:
* An item is built from the neutral fields, and the issuer's own metadata is laid over it;
  the metadata of others is never sent. What only others can read (their reasoning, their
  servers' calls) is left out, which a notice tells, as it tells of every part that cannot
  be said here.
* The model's items go back as they came and in their order, the parts of one item together.
  A text that is no item of this issuer's is a message with plain text.
* Reasoning goes back with its ciphertext, or with its open text where the server gave one;
  without both it is known only to a server that stores it (the option `store`).
* System messages stand where they stood, in the role `system`, which every model and
  server of this protocol takes; `instructions` could hold the first of them only.
* Ids of calls are kept where they are the issuer's own or fit `[A-Za-z0-9_-]{1,64}`, and
  made anew where not, or where one came twice: they are unique in a request. The same
  conversation gets the same.

Facts: wire-protocols.md section 2.
"""

from __future__ import annotations

import re

from ...errors import InputError, UsageError
from ..builder import Builder, overlay, text_in_base64
from ..reply_writer import text_in
from .calls import (
    FIELDS,
    PHASES,
    item_of,
    result_of,
)
from .parts import cited_fields
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

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_READABLE = ("text/", "application/json", "application/xml", "application/yaml", "application/x-ndjson")
_UNREADABLE = ("audio/", "video/")
_THEIR_PHASES = {ours: theirs for theirs, ours in PHASES.items()}
_OURS_ONLY = ("of", "block", "field")
"""What our metadata says beside the fields of the vendor's item."""


def _fields(own: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in own.items() if name not in _OURS_ONLY}


def _block(own: dict[str, Any]) -> dict[str, Any]:
    block = own.get("block")
    return block if isinstance(block, dict) else {}


def named(tool: ToolRecord) -> Wire:
    """Return the name of a tool and what is said of it."""
    described = {"description": tool["description"]} if "description" in tool else {}
    return {"name": tool["name"], **described}


class Items(Builder):
    """Builds the input of one request."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self._is_stored = request.options.get("store", False) is not False
        self._kinds: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._used: set[str] = set()

    def encode(self, messages: list[Message]) -> list[Wire]:
        """Return the items on the wire.

        Raises InputError for an attachment whose bytes were not read, UsageError where the
        model's own message is the last.
        """
        items: list[Wire] = []
        messages = self.counted(messages)
        last = messages[-1] if messages else None
        if last and last["role"] == "assistant" and last.get("response", {}).get("finish_reason") != "pause":
            raise UsageError("a message of the model's cannot be continued in this protocol")
        for message in messages:
            items += self._assistant(message) if message["role"] == "assistant" else self._said(message)
        return items

    def own_tool(self, tool: ToolRecord, own: Wire) -> Wire:
        """Return the block of a tool that is no function: a custom one has a name."""
        return overlay(named(tool), own) if own.get("type") == "custom" else own

    # ---- the user's side

    def _said(self, message: Message) -> list[Wire]:
        items: list[Wire] = []
        contents: list[Wire] = []
        role = "user" if message["role"] == "tool" else message["role"]
        for part in message["parts"]:
            own = self.own(part)
            if part["type"] == "tool_result" and not part.get("server_executed"):
                items.append(self._result(part, own))
            elif part["type"] not in ("text", "attachment") and "type" in own:
                items.append(own)
            else:
                contents += self._contents(part, own)
        if contents:
            is_plain = len(contents) == 1 and contents[0].keys() == {"type", "text"}
            content = contents[0]["text"] if is_plain else contents
            items.append(overlay({"type": "message", "role": role, "content": content}, self.own(message)))
        return items

    def _contents(self, part: Part, own: dict[str, Any]) -> list[Wire]:
        if part["type"] == "text":
            return [overlay({"type": "input_text", "text": part["text"]}, own)]
        if part["type"] == "attachment":
            block = self._attachment(part.get("attachment", {}), own)
            return [overlay(block, own)] if block is not None else []
        self.drop("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: dict[str, Any]) -> Wire | None:
        """Return the content of an attachment, None where this protocol has none for it."""
        kind, name = attachment.get("type", ""), attachment.get("name", "")
        is_image = kind.startswith("image/") or (not kind and "url" in attachment)
        is_inline = "content" in attachment
        if not is_inline and "url" not in attachment:
            if "path" in attachment:
                raise InputError(f"attachment {name or attachment['path']}: its bytes were not read")
            if own:
                return {"type": "input_image", "detail": "auto"} if is_image else {"type": "input_file"}
            self.drop("dropped_attachment", "an attachment was not sent: its file is kept by another provider")
            return None
        uri = f"data:{kind};base64,{attachment['content']}" if is_inline else attachment["url"]
        if is_image:
            return {"type": "input_image", "detail": "auto", "image_url": uri}
        if kind.startswith(_READABLE) and is_inline and own.get("type") != "input_file":
            return {"type": "input_text", "text": text_in_base64(attachment["content"])}
        if kind.startswith(_UNREADABLE):
            how = f"{kind}{'' if is_inline else ', by URL'}"
            self.refuse(attachment, f"this protocol takes no {how}")
            return None
        if not is_inline:
            return {"type": "input_file", "file_url": uri}
        return {"type": "input_file", "filename": name or f"file.{kind.rpartition('/')[2] or 'bin'}", "file_data": uri}

    def _result(self, part: Part, own: dict[str, Any]) -> Wire:
        text = part["output"]
        is_failed = "exception" in part
        if is_failed and part["exception"] not in text:
            text = f"Error: {part['exception']}\n{text}".rstrip("\n")
        given = part.get("tool_call_id", "")
        call_id = self._ids.get(given) or self._wire_id(given, is_own=False)
        files = [{"type": "attachment", "attachment": item} for item in part.get("attachments", ())]
        blocks = [block for item in files for block in self._contents(item, {})]
        output: str | list[Wire] = text
        if blocks:
            output = [*([{"type": "input_text", "text": text}] if text else []), *blocks]
        kind = self._kinds.get(call_id, "function_call")
        return overlay(result_of(kind, call_id, output, text, is_failed=is_failed), own)

    # ---- the model's side

    def _assistant(self, message: Message) -> list[Wire]:
        items: list[Wire] = []
        by_id: dict[str, Wire] = {}
        for place, part in enumerate(message["parts"]):
            own = self.own(part)
            if "of" in own:
                self._add_to(by_id.get(text_in(own["of"])), part, own)
                continue
            item = self._item(part, place, own)
            if item is None:
                continue
            if _is_text(item) and items and _is_text(items[-1]) and items[-1].get("phase") == item.get("phase"):
                items[-1]["content"] += item["content"]
                continue
            items.append(item)
            by_id[text_in(item.get("id"))] = item
        return [item for item in items if self._is_known(item)]

    def _item(self, part: Part, place: int, own: dict[str, Any]) -> Wire | None:
        kind = part["type"]
        if kind in ("text", "refusal"):
            return self._message(part, own)
        if kind == "reasoning":
            item: Wire = {"type": "reasoning", "summary": [], **_fields(own)}
            _add_thought(item, part, own)
            return item
        if kind == "tool_call":
            return self._call(part, place, own)
        if kind == "attachment" and own.get("type") == "image_generation_call":
            return overlay({"type": "", "result": part.get("attachment", {}).get("content")}, own)
        if kind == "tool_result" and "type" in own:
            given = part.get("tool_call_id", "")
            named = {} if given.startswith("~") else {"call_id": self._ids.get(given, given)}
            return overlay({"type": "", **named}, own)
        if _block(own):
            return {"type": "message", "role": "assistant", "content": [_block(own)], **_fields(own)}
        if "type" in own:
            return own
        what = "a file made by a model" if kind == "attachment" else f"a {kind} part of a reply"
        self.drop("dropped_part", f"{what} was not sent: it belongs to another provider, or to nobody")
        return None

    def _message(self, part: Part, own: dict[str, Any]) -> Wire | None:
        phase = _THEIR_PHASES.get(part.get("phase", ""))
        phased = {"phase": phase} if phase else {}
        message: Wire = {"type": "message", "role": "assistant"}
        if own:
            return {**message, "content": [self._content(part, own)], **phased, **_fields(own)}
        if part.get("annotations"):
            self.drop("dropped_annotation", "sources of a reply were not sent: they belong to another provider")
        return {**message, "content": part["text"], **phased} if part["text"] else None

    def _content(self, part: Part, own: dict[str, Any]) -> Wire:
        """Return the content of a text in a message of this issuer's."""
        block: Wire = {"type": "refusal", "refusal": part["text"]}
        if part["type"] == "text":
            annotations = [self._annotation(item) for item in part.get("annotations", ())]
            block = {"type": "output_text", "text": part["text"], "annotations": annotations}
        return overlay(block, _block(own))

    def _annotation(self, annotation: Wire) -> Wire:
        kind = annotation["kind"]
        cited = {theirs: annotation[ours] for ours, theirs in cited_fields(kind).items() if ours in annotation}
        for ours, theirs in (("start", "start_index"), ("end", "end_index")):
            if ours in annotation:
                cited[theirs] = annotation[ours]
        return overlay({"type": kind, **cited}, self.own(annotation))

    def _is_known(self, item: Wire) -> bool:
        """Return whether the server can read an item: reasoning needs a ciphertext, or an open text."""
        if item["type"] != "reasoning" or item.get("encrypted_content") or item.get("content"):
            return True
        if self._is_stored and item.get("id"):
            return True
        why = "it has no ciphertext of this provider's"
        self.drop("dropped_reasoning", f"reasoning of a reply was not sent: {why}")
        return False

    def _add_to(self, item: Wire | None, part: Part, own: dict[str, Any]) -> None:
        """Add a further part of an item to it; what the item says already stays as it is."""
        if item is None:
            return
        kind = part["type"]
        if item["type"] == "message" and kind in ("text", "refusal"):
            item["content"].append(self._content(part, own))
        elif item["type"] == "message" and _block(own):
            item["content"].append(_block(own))
        elif item["type"] == "reasoning" and kind == "reasoning":
            _add_thought(item, part, own)
        elif item["type"] == "mcp_call" and kind == "tool_result" and part["output"]:
            item["output"] = part["output"]

    def _call(self, part: Part, place: int, own: dict[str, Any]) -> Wire | None:
        given = part.get("tool_call_id") or f"~{place}"
        is_served = bool(part.get("server_executed"))
        if is_served and (text_in(own.get("type")) not in FIELDS or "exception" in part):
            why = "it was cut off" if own else "another provider ran it"
            self.drop("dropped_part", f"a call of a reply was not sent: {why}")
            return None
        call_id = self._ids[given] = self._wire_id(given, is_own=bool(own), is_served=is_served)
        item = overlay(item_of(part, own, call_id), _fields(own))
        self._kinds[call_id] = item["type"]
        return item

    def _wire_id(self, given: str, *, is_own: bool, is_served: bool = False) -> str:
        """Return the id of a call in this request: the given one where the vendor takes it."""
        if is_served:
            return given
        call_id, number = given, len(self._used)
        is_fit = bool(given) and not given.startswith("~") and (is_own or bool(_ID.fullmatch(given)))
        while call_id in self._used or not is_fit:
            call_id, is_fit = f"call_{number:05d}", True
            number += 1
        self._used.add(call_id)
        return call_id


def _is_text(item: Wire) -> bool:
    """Return whether an item is a message with plain text."""
    return item["type"] == "message" and isinstance(item.get("content"), str)


def _add_thought(item: Wire, part: Part, own: dict[str, Any]) -> None:
    """Add a text to an item of reasoning: to its summary, or to its content."""
    if part["text"] or _block(own):
        block = overlay({"type": "summary_text", "text": part["text"]}, _block(own))
        item.setdefault("summary" if block["type"] == "summary_text" else "content", []).append(block)
