"""Gemini generateContent, the request's contents.

Rules:
* Each part goes back as it came: in its place, with its signature, never joined to another.
  It is built from the neutral fields, and the issuer's own metadata is laid over it; the
  metadata of others is never sent.
* Thoughts, and what the server ran itself, go back to the issuer they came from, to no other.
* Ids of calls are sent only where the vendor gave them; a result without one is found by its
  name and its place, so results stand in the order of their calls, in one content.
* Gemini 3 demands a signature on the first call of a turn: where the call came from
  elsewhere, the word that Google names for this stands for it (quirk `thought_signatures`
  says that a model demands one).
* System messages are one instruction before everything; one that stood later is a notice.

Facts: wire-protocols.md section 4.
"""

from __future__ import annotations

import re

from ...errors import InputError
from ...records.jsonl import loads
from ..builder import Builder, overlay
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Attachment, Message, Part
    from ..request import Request

    Wire = dict[str, Any]

NO_SIGNATURE = "skip_thought_signature_validator"
"""What stands for the signature of a call that Gemini has not made."""

_THINKING = ("thinkingBudget", "thinkingLevel", "includeThoughts")
_READABLE = ("application/json", "application/xml", "application/yaml", "application/x-ndjson")


class Contents(Builder):
    """Builds the contents of one request.

    `system` are the parts of the instruction; `token` continues a reply that paused;
    `has_trace` says whether the server told of tools that it ran."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self.system: list[Wire] = []
        self.token = ""
        self.has_trace = False
        self._is_signed = "thought_signatures" in request.quirks
        self._sent: dict[str, tuple[int, str]] = {}  # id of a call -> its place, and the id it was sent with

    def encode(self, messages: list[Message]) -> list[Wire]:
        """Return the contents on the wire. Raises InputError for an attachment whose bytes
        were not read."""
        contents: list[Wire] = []
        for message in self.counted(messages):
            role = message["role"]
            if role == "system":
                if contents:
                    self.drop("moved_system", "a system message was sent as one before the conversation")
                self.system += self._said(message["parts"])
            elif role == "assistant":
                self._add(contents, "model", self._model(message))
            else:
                self._add_results(contents, [part for part in message["parts"] if part["type"] == "tool_result"])
                rest = [part for part in message["parts"] if part["type"] != "tool_result"]
                self._add(contents, "user", self._said(rest))
        for content in contents:
            content.pop("places", None)
        own = self.own(messages[-1]) if messages and messages[-1]["role"] == "assistant" else {}
        self.token = str(own.get("continuationToken", ""))
        return contents

    def spelled(self, name: str) -> str:
        """Return Google's spelling of an option, which may have underscores; what is said of
        the thinking stands together."""
        camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
        return f"thinkingConfig.{camel}" if camel in _THINKING else camel

    def _add(self, contents: list[Wire], role: str, parts: list[Wire]) -> None:
        if parts:
            contents.append({"role": role, "parts": parts})

    # ---- the user's side

    def _said(self, parts: list[Part]) -> list[Wire]:
        return [block for part in parts for block in self._blocks(part)]

    def _blocks(self, part: Part) -> list[Wire]:
        own = self.own(part)
        if part["type"] == "text":
            return [overlay({"text": part["text"]}, own)] if part["text"] or own else []
        if part["type"] == "attachment":
            return self._attachment(part.get("attachment", {}), own)
        if own:
            return [own]
        self.drop("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: dict[str, Any]) -> list[Wire]:
        """Return the part of an attachment, none where it cannot be sent."""
        kind, name = attachment.get("type", ""), attachment.get("name", "")
        typed = {"mimeType": "text/plain" if kind.startswith(_READABLE) else kind} if kind else {}
        if "content" in attachment:
            return [overlay({"inlineData": {**typed, "data": attachment["content"]}}, own)]
        if "url" in attachment:
            return [overlay({"fileData": {**typed, "fileUri": attachment["url"]}}, own)]
        if "path" in attachment:
            raise InputError(f"attachment {name or attachment['path']}: its bytes were not read")
        if own:
            return [own]
        self.drop("dropped_attachment", "an attachment was not sent: its file is kept by another provider")
        return []

    def _add_results(self, contents: list[Wire], results: list[Part]) -> None:
        """Add results behind those that are there, in the order of their calls."""
        if not results:
            return
        if not contents or "places" not in contents[-1]:
            contents.append({"role": "user", "parts": [], "places": []})
        last = contents[-1]
        for part in results:
            place, call_id = self._sent.get(part.get("tool_call_id", ""), (len(self._sent), ""))
            at = sum(other <= place for other in last["places"])
            last["places"].insert(at, place)
            last["parts"].insert(at, self._result(part, call_id))

    def _result(self, part: Part, call_id: str) -> Wire:
        named = {"id": call_id} if call_id else {}
        said = {"result": part["output"]}
        if "exception" in part:
            is_told = part["exception"] in part["output"]
            said = {"error": part["output"] if is_told else f"{part['exception']}\n{part['output']}".rstrip("\n")}
        response: Wire = {**named, "name": part["name"], "response": said}
        attached = [{"type": "attachment", "attachment": item} for item in part.get("attachments", ())]
        blocks = self._said(attached)
        if blocks:
            response["parts"] = blocks
        return overlay({"functionResponse": response}, self.own(part))

    # ---- the model's side

    def _model(self, message: Message) -> list[Wire]:
        parts = message["parts"]
        is_own = message.get("response", {}).get("provider") == self._issuer or any(map(self.own, parts))
        calls = [place for place, part in enumerate(parts) if _is_function(part)]
        self._sent = {}
        wire: list[Wire] = []
        for place, part in enumerate(parts):
            if part.get("annotations") and not is_own:
                self.drop("dropped_annotation", "sources of a text were not sent: they belong to another provider")
            if place in calls:
                block = self._call(part, place, is_own)
                if self._is_signed and place == calls[0]:
                    block.setdefault("thoughtSignature", NO_SIGNATURE)
                wire.append(block)
            else:
                wire += self._of_model(part)
        return wire

    def _call(self, part: Part, place: int, is_own: bool) -> Wire:
        given = part.get("tool_call_id") or f"~{place}"
        call_id = given if is_own and not given.startswith("~") else ""
        self._sent[given] = (len(self._sent), call_id)
        named = {"id": call_id} if call_id else {}
        call = {**named, "name": part["name"], "args": part["arguments"]}
        return overlay({"functionCall": call}, self.own(part))

    def _of_model(self, part: Part) -> list[Wire]:
        kind, own = part["type"], self.own(part)
        if kind in ("text", "attachment"):
            return self._blocks(part)
        if kind == "refusal":
            return [{"text": part["text"]}] if part["text"] else []
        if kind == "reasoning" and own:
            return [overlay({"text": part["text"], "thought": True}, own)]
        if kind in ("tool_call", "tool_result") and own:
            self.has_trace |= "toolCall" in own
            return [overlay(_run(part, own), own)]
        if own and kind != "reasoning":
            return [own]
        if kind == "reasoning":
            self.drop("dropped_reasoning", "reasoning of a reply was not sent: it belongs to another provider")
        else:
            self.drop("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        return []


def _is_function(part: Part) -> bool:
    return part["type"] == "tool_call" and not part.get("server_executed")


def _run(part: Part, own: dict[str, Any]) -> Wire:
    """Return a call that the server ran, or its result, as far as the neutral fields say it."""
    given = part.get("tool_call_id", "")
    named = {"id": given} if given and not given.startswith("~") else {}
    if "executableCode" in own:
        return {"executableCode": {**part["arguments"], **named}}
    if "codeExecutionResult" in own:
        return {"codeExecutionResult": {"output": part["output"], **named}}
    if "toolCall" in own:
        return {"toolCall": {"toolType": part["name"], "args": part["arguments"], **named}}
    if "toolResponse" not in own:
        return {}
    try:
        said = {"response": loads(part["output"])} if part["output"] else {}
    except InputError:
        said = {"response": {"output": part["output"]}}
    return {"toolResponse": {"toolType": part["name"], **said, **named}}
