"""Gemini, the contents of a request.

Rules:
* Each part goes back unchanged: in its place, with its signature, never joined to another. It
  is built from the neutral fields, and the issuer's own metadata adds to it. The metadata
  of others is never sent.
* Thoughts and what the server ran go back to the issuer that they came from, to no other.
* An id of a call is sent only if the vendor gave it. The vendor finds the call of a result
  without one by its name and place, so the results are in the order of their calls, in one
  content.
* Gemini 3 (quirk `thought_signatures`) requires a signature on the first call of a turn. A call
  that came from elsewhere gets the word that Google's documentation gives for this.
* System messages are one instruction before everything. A later one is moved there, with a
  notice.
"""

from __future__ import annotations

import re

from ...errors import InputError
from ...media_type import is_text_type
from ...records.jsonl import loads
from ..builder import Builder, attachment_parts
from ..media_types import usual_type
from .reply import CODE_EXECUTION
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Attachment, Message, Part
    from ..json_fields import JsonObject
    from ..request import Request

NO_SIGNATURE = "skip_thought_signature_validator"
"""The signature of a call that Gemini has not made."""

_TAKEN_TYPES = ("text/", "audio/", "video/", "application/pdf")
_THINKING = ("thinkingBudget", "thinkingLevel", "includeThoughts")


class Messages(Builder):
    """Builds the contents of one request.

    system: the parts of the instruction. token: continues a reply that paused, "" if there is
    none. has_trace: whether the conversation has calls that the server ran.
    """

    SHOWN = Builder.SHOWN | {"thought", "name", "data", "fileUri", "id", "mimeType"}

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self.system: list[JsonObject] = []
        self.token = ""
        self.has_trace = False
        self._needs_signature = "thought_signatures" in request.quirks
        self._sent_calls: dict[str, tuple[int, str]] = {}  # id of a call -> its place, and the id on the wire

    def encode(self, messages: list[Message]) -> list[JsonObject]:
        """Return the contents on the wire. Raises InputError for an attachment whose bytes were not read."""
        contents: list[JsonObject] = []
        for message in self.non_empty(messages):
            role = message["role"]
            if role == "system":
                if contents:
                    self.notice("moved_system", "a system message was sent as one before the conversation")
                self.system += self._user(message["parts"])
            elif role == "assistant":
                self._add(contents, "model", self._assistant(message))
            else:
                self._add_results(contents, [part for part in message["parts"] if part["type"] == "tool_result"])
                rest = [part for part in message["parts"] if part["type"] != "tool_result"]
                self._add(contents, "user", self._user(rest))
        for content in contents:
            content.pop("places", None)
        own = self.own_metadata(messages[-1]) if messages and messages[-1]["role"] == "assistant" else {}
        self.token = str(own.get("continuationToken", ""))
        return contents

    def vendor_spelling(self, name: str) -> str:
        """Return Google's spelling of an option, which the user may write with underscores."""
        camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
        return f"thinkingConfig.{camel}" if camel in _THINKING else camel

    def unknown_block(self, part: Part, own: JsonObject) -> JsonObject | None:
        """Return the part of a kind that only the vendor knows: its field is the name of the kind."""
        return own if part["type"] in own and self.SHOWN.isdisjoint(own.keys() - {"thought"}) else None

    def _add(self, contents: list[JsonObject], role: str, parts: list[JsonObject]) -> None:
        if parts:
            contents.append({"role": role, "parts": parts})

    # ---- the user's side

    def _user(self, parts: list[Part]) -> list[JsonObject]:
        return [block for part in parts for block in self._blocks(part)]

    def _blocks(self, part: Part) -> list[JsonObject]:
        own = self.own_metadata(part)
        if part["type"] == "text":
            return [self.with_metadata({"text": part["text"]}, own)] if part["text"] or own else []
        if part["type"] == "attachment":
            return self._attachment(part.get("attachment", {}), own)
        if block := self.unknown_block(part, own):
            return [block]
        self.notice("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: JsonObject) -> list[JsonObject]:
        """Return the part of an attachment, [] if it cannot be sent."""
        given = attachment.get("type", "")
        kind = usual_type(given)
        sent = "text/plain" if is_text_type(kind) else kind if self.is_taken_image(kind) else given
        mime = {"mimeType": sent} if sent else {}
        self.check_bytes(attachment)
        is_taken = not sent or sent.startswith(_TAKEN_TYPES) or self.is_taken_image(sent)
        if not is_taken and not own and ("content" in attachment or "url" in attachment):
            self.refuse_type(attachment)
            return []
        if "content" in attachment:
            return [self.with_metadata({"inlineData": {**mime, "data": attachment["content"]}}, own)]
        if "url" in attachment:
            return [self.with_metadata({"fileData": {**mime, "fileUri": attachment["url"]}}, own)]
        if file := own.get("fileData"):
            return [self.with_metadata({"fileData": file}, own)]
        self.notice_foreign_file()
        return []

    def _add_results(self, contents: list[JsonObject], results: list[Part]) -> None:
        """Add results to those in the last content, in the order of their calls."""
        if not results:
            return
        if not contents or "places" not in contents[-1]:
            contents.append({"role": "user", "parts": [], "places": []})
        last = contents[-1]
        for part in results:
            place, call_id = self._sent_calls.get(part.get("tool_call_id", ""), (len(self._sent_calls), ""))
            at = sum(other <= place for other in last["places"])
            last["places"].insert(at, place)
            last["parts"].insert(at, self._result(part, call_id))

    def _result(self, part: Part, call_id: str) -> JsonObject:
        identity = {"id": call_id} if call_id else {}
        content = {"result": part["output"]}
        if "exception" in part:
            is_in_output = part["exception"] in part["output"]
            error = part["output"] if is_in_output else f"{part['exception']}\n{part['output']}".rstrip("\n")
            content = {"error": error}
        response: JsonObject = {**identity, "name": part["name"], "response": content}
        blocks = self._user(attachment_parts(part))
        if blocks:
            response["parts"] = blocks
        return self.with_metadata({"functionResponse": response}, self.own_metadata(part))

    # ---- the model's side

    def _assistant(self, message: Message) -> list[JsonObject]:
        parts = message["parts"]
        is_own = message.get("response", {}).get("provider") == self._issuer or any(map(self.own_metadata, parts))
        calls = [place for place, part in enumerate(parts) if _is_function(part)]
        self._sent_calls = {}
        blocks: list[JsonObject] = []
        for place, part in enumerate(parts):
            if part.get("annotations") and not is_own:
                self.notice("dropped_annotation", "sources of a text were not sent: they belong to another provider")
            if place in calls:
                block = self._call(part, place, is_own)
                if self._needs_signature and place == calls[0]:
                    block.setdefault("thoughtSignature", NO_SIGNATURE)
                blocks.append(block)
            else:
                blocks += self._assistant_blocks(part)
        return blocks

    def _call(self, part: Part, place: int, is_own: bool) -> JsonObject:
        call_id = part.get("tool_call_id") or f"~{place}"
        wire_id = call_id if is_own and not call_id.startswith("~") else ""
        self._sent_calls[call_id] = (len(self._sent_calls), wire_id)
        identity = {"id": wire_id} if wire_id else {}
        call = {**identity, "name": part["name"], "args": part["arguments"]}
        return self.with_metadata({"functionCall": call}, self.own_metadata(part))

    def _assistant_blocks(self, part: Part) -> list[JsonObject]:
        kind, own = part["type"], self.own_metadata(part)
        if kind in ("text", "attachment"):
            return self._blocks(part)
        if kind == "refusal":
            return [{"text": part["text"]}] if part["text"] else []
        if kind == "reasoning" and own:
            return [self.with_metadata({"text": part["text"], "thought": True}, own)]
        ran = _server_run_block(part, own) if kind in ("tool_call", "tool_result") else {}
        if ran:
            self.has_trace |= "toolCall" in ran
            return [self.with_metadata(ran, own)]
        if block := self.unknown_block(part, own):
            return [block]
        if kind == "reasoning":
            self.notice("dropped_reasoning", "reasoning of a reply was not sent: it belongs to another provider")
        else:
            self.notice("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        return []


def _is_function(part: Part) -> bool:
    return part["type"] == "tool_call" and not part.get("server_executed")


def _server_run_block(part: Part, own: JsonObject) -> JsonObject:
    """Return a call that the server ran, or its result, as far as the neutral fields hold it."""
    call_id = part.get("tool_call_id", "")
    identity = {"id": call_id} if call_id and not call_id.startswith("~") else {}
    is_call = part["type"] == "tool_call"
    if is_call and "executableCode" in own and part["name"] == CODE_EXECUTION:
        return {"executableCode": {**part["arguments"], **identity}}
    if not is_call and "codeExecutionResult" in own:
        return {"codeExecutionResult": {"output": part["output"], **identity}}
    if is_call and "toolCall" in own and "executableCode" not in own:
        return {"toolCall": {"toolType": part["name"], "args": part["arguments"], **identity}}
    if is_call or "toolResponse" not in own:
        return {}
    try:
        response = {"response": loads(part["output"])} if part["output"] else {}
    except InputError:
        response = {"response": {"output": part["output"]}}
    return {"toolResponse": {"toolType": part["name"], **response, **identity}}
