"""Gemini Interactions, the steps of a request's input.

Rules:
* A step is built from the neutral fields, and the issuer's own metadata adds to it. The
  metadata of others is never sent. Parts that only others can read (their reasoning, their
  servers' calls) and parts that this protocol cannot hold are left out, with a notice.
* The model's steps go back unchanged and in their order, the parts of one step together. A thought
  goes back with its signature; without one (it was cut off) it does not go back.
* The result of a call is a step, and names its call by the id. An id that is not the issuer's own
  and does not fit `[A-Za-z0-9_-]{1,64}`, or that came twice, is replaced. The same conversation
  always gets the same ids.
* System messages are one instruction before everything. A later one is moved there, with a
  notice.
* A reply that paused with a token is continued by the token: the rest of the input is that of the
  paused request. If the provider stores it (the option `store`), it is named by its id instead.
"""

from __future__ import annotations

import re

from ...errors import UsageError
from ...media_type import is_text_type
from ..builder import Builder, attachment_parts, named_text, result_text
from ..json_fields import string_or_empty
from ..media_types import usual_type
from .calls import RESULTS, call_step, is_call_of, result_step
from .media import content_of
from .sources import source_of
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Attachment, Message, Part
    from ..json_fields import JsonObject
    from ..request import Request

_TAKEN_TYPES = ("text/", "audio/", "video/", "application/pdf", "application/vnd.", "application/msword")
_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INTERNAL_FIELDS = ("of", "block", "thought")
"""Fields of our metadata that are not fields of the vendor's step."""


def _step_fields(own: JsonObject) -> JsonObject:
    return {name: value for name, value in own.items() if name not in _INTERNAL_FIELDS}


def _content_fields(own: JsonObject) -> JsonObject:
    block = own.get("block")
    return block if isinstance(block, dict) else {}


def _is_paused(message: Message) -> bool:
    return message["role"] == "assistant" and message.get("response", {}).get("finish_reason") == "pause"


class Messages(Builder):
    """Builds the input of one request.

    system: the texts of the instruction. token: continues a reply that paused, "" if there is
    none. previous: the id of the interaction that paused, "" if the provider does not store it.
    """

    SHOWN = Builder.SHOWN | {"type", "data", "name", "id", "call_id", "output", "result"}
    SHOWN_TYPES = frozenset(("text", "user_input", "model_output", "thought", "function_call", "function_result"))

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)
        self.system: list[str] = []
        self.token = ""
        self.previous = ""
        self._is_stored = request.options.get("store") not in (None, False)

    def encode(self, messages: list[Message]) -> list[JsonObject]:
        """Return the steps on the wire.

        Raises InputError for an attachment whose bytes were not read, UsageError if the last
        message is the model's own and it did not pause.
        """
        steps: list[JsonObject] = []
        messages = self._without_paused(messages)
        messages = self.non_empty(messages)
        last = messages[-1] if messages else None
        if last and last["role"] == "assistant" and not _is_paused(last):
            raise UsageError("a message of the model cannot be continued in this protocol")
        for message in messages:
            if message["role"] == "system":
                self._add_system(message, is_late=bool(steps))
            elif message["role"] == "assistant":
                steps += self._assistant(message)
            else:
                steps += self._user(message)
        return steps

    def _without_paused(self, messages: list[Message]) -> list[Message]:
        """Return the messages without the replies at their end that a token continues."""
        last = messages[-1] if messages else None
        if last is None or not _is_paused(last):
            return messages
        self.token = string_or_empty(self.own_metadata(last).get("continuation_token"))
        if self.token and self._is_stored:
            self.previous = string_or_empty(last.get("response", {}).get("id"))
        count = len(messages)
        while self.token and count and _is_paused(messages[count - 1]):
            count -= 1
        return messages[:count]

    # ---- the user's side

    def _add_system(self, message: Message, *, is_late: bool) -> None:
        if is_late:
            self.notice("moved_system", "a system message was sent as one before the conversation")
        for part in message["parts"]:
            for content in self._contents(part, {}):
                if content.get("type") == "text":
                    self.system.append(content["text"])
                else:
                    self.refuse(part.get("attachment", {}), "a system message has only text in this protocol")

    def _user(self, message: Message) -> list[JsonObject]:
        steps: list[JsonObject] = []
        contents: list[JsonObject] = []
        for part in message["parts"]:
            own = self.own_metadata(part)
            if part["type"] == "tool_result":
                steps.append(self._result(part, own))
            elif block := self.unknown_block(part, own):
                contents.append(block)
            else:
                contents += self._contents(part, own)
        if contents:
            steps.append(self.with_metadata({"type": "user_input", "content": contents}, self.own_metadata(message)))
        return steps

    def _contents(self, part: Part, own: JsonObject) -> list[JsonObject]:
        if part["type"] == "text":
            return [self.with_metadata({"type": "text", "text": part["text"]}, own)]
        if part["type"] == "attachment":
            return self._attachment(part.get("attachment", {}), own)
        self.notice("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return []

    def _attachment(self, attachment: Attachment, own: JsonObject, *, is_own: bool = False) -> list[JsonObject]:
        """Return the content of an attachment, [] if it cannot be sent. A text that the vendor did not make
        itself (`is_own`) is sent as text: it takes few types of it as a document."""
        self.check_bytes(attachment)
        is_inline = "content" in attachment
        if not is_inline and "url" not in attachment and not own:
            self.notice_foreign_file()
            return []
        kind = usual_type(attachment.get("type", ""))
        if not (own or is_own):
            if is_text_type(kind) and is_inline:
                return [{"type": "text", "text": named_text(attachment)}]
            if kind and not kind.startswith(_TAKEN_TYPES) and not self.is_taken_image(kind):
                self.refuse_type(attachment)
                return []
            attachment = {**attachment, "type": kind} if kind else attachment
        return [self.with_metadata(content_of(attachment, own), own)]

    def _result(self, part: Part, own: JsonObject) -> JsonObject:
        text = result_text(part)
        call_id = part.get("tool_call_id", "")
        wire_id = self._call_ids.get(call_id) or self._new_id(call_id, is_own=False)
        blocks = [block for item in attachment_parts(part) for block in self._contents(item, {})]
        result: str | list[JsonObject] = text
        if blocks:
            result = [*([{"type": "text", "text": text}] if text else []), *blocks]
        step: JsonObject = {"type": "function_result", "call_id": wire_id, "name": part["name"], "result": result}
        if "exception" in part:
            step["is_error"] = True
        return self.with_metadata(step, own)

    # ---- the model's side

    def _assistant(self, message: Message) -> list[JsonObject]:
        steps: list[JsonObject] = []
        parts = message["parts"]
        is_own = message.get("response", {}).get("provider") == self._issuer or any(map(self.own_metadata, parts))
        for place, part in enumerate(parts):
            own = self.own_metadata(part)
            step = self._step(part, place, own, is_own=is_own)
            if step is None:
                continue
            if "of" in own and steps and steps[-1]["type"] == step["type"] in ("model_output", "thought"):
                for field in ("content", "summary"):
                    if field in step:
                        steps[-1][field] = [*steps[-1].get(field, ()), *step.pop(field)]
                steps[-1].update(step)
            else:
                steps.append(step)
        return [step for step in steps if self._is_readable(step)]

    def _step(self, part: Part, place: int, own: JsonObject, *, is_own: bool) -> JsonObject | None:
        """Return the step of a part, or the beginning of it; None if it cannot be sent."""
        kind = part["type"]
        if kind in ("text", "refusal", "attachment"):
            return self._output(part, own, is_own=is_own)
        if kind == "reasoning":
            return self._thought(part, own)
        if kind == "tool_call":
            return self._call(part, place, own, is_own=is_own)
        own_kind = string_or_empty(own.get("type"))
        if kind == "tool_result" and own_kind in RESULTS:
            call_id: str = part.get("tool_call_id", "")
            return result_step(part, own, "" if call_id.startswith("~") else self._call_ids.get(call_id, call_id))
        if block := self.unknown_block(part, _content_fields(own)):
            return self._with_content(own, block)
        if block := self.unknown_block(part, own):
            return block
        self.notice("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        return None

    def _output(self, part: Part, own: JsonObject, *, is_own: bool) -> JsonObject | None:
        """Return the step of a text or a file of the model's."""
        if part["type"] == "attachment":
            contents = self._attachment(part.get("attachment", {}), _content_fields(own), is_own=is_own)
            return self._with_content(own, *contents) if contents else None
        own = {name: value for name, value in own.items() if name != "thought"}
        block: JsonObject = {"type": "text", "text": part["text"]}
        annotations = part.get("annotations", ())
        if annotations and is_own:
            block["annotations"] = [source_of(item, part["text"], self.own_metadata(item)) for item in annotations]
        elif annotations:
            self.notice("dropped_annotation", "sources of a text were not sent: they belong to another provider")
        if not part["text"] and not own:
            return None
        has_content = bool(part["text"] or annotations or _content_fields(own))
        return self._with_content(own, *([self.with_metadata(block, _content_fields(own))] if has_content else []))

    def _thought(self, part: Part, own: JsonObject) -> JsonObject:
        block = self.with_metadata({"type": "text", "text": part["text"]}, _content_fields(own))
        has_content = bool(part["text"] or _content_fields(own))
        return self._with_content({**own, "thought": True}, *([block] if has_content else []))

    def _with_content(self, own: JsonObject, *contents: JsonObject) -> JsonObject:
        """Return the step of a part of the model's: an answer, or a thought."""
        is_thought = bool(own.get("thought"))
        step: JsonObject = {"type": "thought" if is_thought else "model_output"}
        if contents:
            step["summary" if is_thought else "content"] = list(contents)
        return self.with_metadata(step, _step_fields(own))

    def _is_readable(self, step: JsonObject) -> bool:
        """Return whether the server can read a step: a thought needs its signature."""
        if step["type"] != "thought" or step.get("signature"):
            return True
        self.notice("dropped_reasoning", "reasoning of a reply was not sent: it has no signature of this provider")
        return False

    def _call(self, part: Part, place: int, own: JsonObject, *, is_own: bool) -> JsonObject | None:
        call_id = part.get("tool_call_id") or f"~{place}"
        if not part.get("server_executed"):
            self._call_ids[call_id] = wire_id = self._new_id(call_id, is_own=is_own)
            call = {"type": "function_call", "id": wire_id, "name": part["name"], "arguments": part["arguments"]}
            return self.with_metadata(call, own)
        if not is_call_of(part, own) or "exception" in part:
            why = "it was cut off" if own else "another provider ran it"
            self.notice("dropped_part", f"a call of a reply was not sent: {why}")
            return None
        return call_step(part, own, "" if call_id.startswith("~") else call_id)

    def _new_id(self, call_id: str, *, is_own: bool) -> str:
        is_vendors = bool(call_id) and not call_id.startswith("~")
        return self.unique_id(call_id, is_vendors and (is_own or bool(_VALID_ID.fullmatch(call_id))), "call_")
