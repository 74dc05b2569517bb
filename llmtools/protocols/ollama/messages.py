"""Ollama native, the request's messages.

Rules:
* A message has one text, one string of thinking, images as bare base64, and calls whose
  arguments are an object. The issuer's own metadata is laid over a call.
* Thinking goes back to the issuer it came from, to no other.
* Ids of calls go back as they came; none is made up: a result also names its tool.
* An image by URL, a sound, a PDF, a tool that another provider ran itself: there is no
  place for them here, which a notice tells.

Facts: wire-protocols.md section 5.
"""

from __future__ import annotations

from ...errors import InputError
from ..builder import Builder, overlay, text_in_base64
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Attachment, Message, Part
    from ..request import Request

    Wire = dict[str, Any]

_READABLE = ("text/", "application/json", "application/xml", "application/yaml", "application/x-ndjson")
_BETWEEN = "\n\n"
"""What stands between two parts of the user's side, which are one string on the wire."""


def _id_of(part: Part) -> dict[str, str]:
    """Return the id of a call or a result as a field, nothing where the vendor gave none."""
    given = part.get("tool_call_id", "")
    return {"id": given} if given and not given.startswith("~") else {}


class Messages(Builder):
    """Builds the messages of one request."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)

    def encode(self, messages: list[Message]) -> list[Wire]:
        """Return the messages on the wire. Raises InputError for an attachment whose bytes
        were not read."""
        wire = [said for message in self.counted(messages) for said in self._encode(message)]
        return [said for said in wire if said["role"] == "tool" or said["content"] or len(said) > 2]

    def _encode(self, message: Message) -> list[Wire]:
        if message["role"] == "assistant":
            return [self._assistant(message)]
        wire = [self._result(part) for part in message["parts"] if part["type"] == "tool_result"]
        rest = [part for part in message["parts"] if part["type"] != "tool_result"]
        if rest:
            role = "user" if message["role"] == "tool" else message["role"]
            wire.append(self._said(role, rest))
        return wire

    # ---- the user's side

    def _said(self, role: str, parts: list[Part]) -> Wire:
        texts, images = self._texts_and_images(parts)
        message: Wire = {"role": role, "content": _BETWEEN.join(texts)}
        return {**message, "images": images} if images else message

    def _texts_and_images(self, parts: list[Part]) -> tuple[list[str], list[str]]:
        texts: list[str] = []
        images: list[str] = []
        for part in parts:
            if part["type"] == "text":
                texts += [part["text"]] if part["text"] else []
            elif part["type"] == "attachment":
                self._attach(part.get("attachment", {}), texts, images)
            else:
                message = f"a {part['type']} part was not sent: it has no place in this protocol"
                self.drop("dropped_part", message)
        return texts, images

    def _attach(self, attachment: Attachment, texts: list[str], images: list[str]) -> None:
        """Add an attachment to the images or the texts."""
        kind, name = attachment.get("type", ""), attachment.get("name", "")
        if "content" not in attachment:
            if "path" in attachment and "url" not in attachment:
                raise InputError(f"attachment {name or attachment['path']}: its bytes were not read")
            how = "takes no URL" if "url" in attachment else "knows no file of another provider"
            self.refuse(attachment, f"this protocol {how}")
        elif kind.startswith("image/"):
            images.append(attachment["content"])
        elif kind.startswith(_READABLE):
            texts.append(text_in_base64(attachment["content"]))
        else:
            self.refuse(attachment, f"this protocol takes no {kind or 'unknown type'}")

    def _result(self, part: Part) -> Wire:
        text = part["output"]
        if "exception" in part and part["exception"] not in text:
            text = f"Error: {part['exception']}\n{text}".rstrip("\n")
        attached = [{"type": "attachment", "attachment": item} for item in part.get("attachments", ())]
        texts, images = self._texts_and_images(attached)
        content = _BETWEEN.join([text, *texts] if text else texts)
        wire: Wire = {"role": "tool", "tool_name": part["name"], "content": content}
        if given := _id_of(part):
            wire["tool_call_id"] = given["id"]
        if images:
            wire["images"] = images
        return overlay(wire, self.own(part))

    # ---- the model's side

    def _assistant(self, message: Message) -> Wire:
        texts: list[str] = []
        thoughts: list[str] = []
        images: list[str] = []
        calls: list[Wire] = []
        for part in message["parts"]:
            kind, own = part["type"], self.own(part)
            if part.get("annotations"):
                self.drop("dropped_annotation", "sources of a text were not sent: this protocol has no place for them")
            if kind in ("text", "refusal"):
                texts.append(part["text"])
            elif kind == "reasoning" and own:
                thoughts.append(part["text"])
            elif kind == "reasoning":
                self.drop("dropped_reasoning", "reasoning of a reply was not sent: it belongs to another provider")
            elif kind == "tool_call" and not part.get("server_executed"):
                calls.append(self._call(part, own))
            elif kind == "attachment":
                self._attach(part.get("attachment", {}), texts, images)
            else:
                self.drop("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        wire: Wire = {"role": "assistant", "content": "".join(texts)}
        fields = {"thinking": "".join(thoughts), "images": images, "tool_calls": calls}
        wire.update({name: value for name, value in fields.items() if value})
        return overlay(wire, self.own(message))

    def _call(self, part: Part, own: dict[str, Any]) -> Wire:
        function = {"name": part["name"], "arguments": part["arguments"]}
        return overlay({**_id_of(part), "type": "function", "function": function}, own)
