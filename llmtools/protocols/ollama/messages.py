"""Ollama, the messages of a request.

Rules:
* A message has one text, one string of thinking, images as bare base64, and calls whose
  arguments are an object. The issuer's own metadata adds to a call.
* Thinking goes back to the issuer that it came from, to no other.
* Ids of calls go back unchanged, and none is made up: a result also names its tool.
* An image by URL, a sound, a PDF and a call that another provider ran have no place here.
  They are left out, with a notice.
"""

from __future__ import annotations

from ...media_type import is_text_type
from ..builder import Builder, attachment_parts, named_text, result_text
from ..media_types import usual_type
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Attachment, Message, Part
    from ..json_fields import JsonObject
    from ..request import Request

_BETWEEN = "\n\n"
"""Separates the parts of a message, which are one string on the wire."""


def _id_field(part: Part) -> dict[str, str]:
    """Return the field `id` of a call or a result, {} if the vendor gave it no id."""
    call_id = part.get("tool_call_id", "")
    return {"id": call_id} if call_id and not call_id.startswith("~") else {}


class Messages(Builder):
    """Builds the messages of one request."""

    SHOWN = Builder.SHOWN | {"images", "tool_name", "tool_call_id", "id", "type"}

    def __init__(self, request: Request) -> None:
        super().__init__(request, SPEC)

    def encode(self, messages: list[Message]) -> list[JsonObject]:
        """Return the messages on the wire. Raises InputError for an attachment whose bytes were not read."""
        encoded = [item for message in self.non_empty(messages) for item in self._encode(message)]
        return [item for item in encoded if item["role"] == "tool" or item["content"] or len(item) > 2]

    def _encode(self, message: Message) -> list[JsonObject]:
        if message["role"] == "assistant":
            return [self._assistant(message)]
        encoded = [self._result(part) for part in message["parts"] if part["type"] == "tool_result"]
        rest = [part for part in message["parts"] if part["type"] != "tool_result"]
        if rest:
            encoded.append(self._user("user" if message["role"] == "tool" else message["role"], rest))
        return encoded

    # ---- the user's side

    def _user(self, role: str, parts: list[Part]) -> JsonObject:
        texts, images = self._texts_and_images(parts)
        message: JsonObject = {"role": role, "content": _BETWEEN.join(texts)}
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
                self.notice("dropped_part", f"a {part['type']} part was not sent: it has no place in this protocol")
        return texts, images

    def _attach(self, attachment: Attachment, texts: list[str], images: list[str]) -> None:
        """Add an attachment to the images or the texts."""
        kind = usual_type(attachment.get("type", ""))
        self.check_bytes(attachment)
        if "content" not in attachment:
            how = "a URL" if "url" in attachment else "a file of another provider"
            self.refuse(attachment, f"this protocol does not take {how}")
        elif is_text_type(kind):
            texts.append(named_text(attachment))
        elif self.is_taken_image(kind):
            images.append(attachment["content"])
        else:
            self.refuse_type(attachment)

    def _result(self, part: Part) -> JsonObject:
        text = result_text(part)
        texts, images = self._texts_and_images(attachment_parts(part))
        content = _BETWEEN.join([text, *texts] if text else texts)
        message: JsonObject = {"role": "tool", "tool_name": part["name"], "content": content}
        if identity := _id_field(part):
            message["tool_call_id"] = identity["id"]
        if images:
            message["images"] = images
        return self.with_metadata(message, self.own_metadata(part))

    # ---- the model's side

    def _assistant(self, message: Message) -> JsonObject:
        texts: list[str] = []
        thoughts: list[str] = []
        images: list[str] = []
        calls: list[JsonObject] = []
        for part in message["parts"]:
            kind, own = part["type"], self.own_metadata(part)
            if part.get("annotations"):
                self.notice(
                    "dropped_annotation", "sources of a text were not sent: this protocol has no place for them"
                )
            if kind in ("text", "refusal"):
                texts.append(part["text"])
            elif kind == "reasoning" and own:
                thoughts.append(part["text"])
            elif kind == "reasoning":
                self.notice("dropped_reasoning", "reasoning of a reply was not sent: it belongs to another provider")
            elif kind == "tool_call" and not part.get("server_executed"):
                calls.append(self._call(part, own))
            elif kind == "attachment":
                self._attach(part.get("attachment", {}), texts, images)
            else:
                self.notice("dropped_part", f"a {kind} part of a reply was not sent: it belongs to another provider")
        encoded: JsonObject = {"role": "assistant", "content": "".join(texts)}
        fields = {"thinking": "".join(thoughts), "images": images, "tool_calls": calls}
        encoded.update({name: value for name, value in fields.items() if value})
        return self.with_metadata(encoded, self.own_metadata(message))

    def _call(self, part: Part, own: JsonObject) -> JsonObject:
        function = {"name": part["name"], "arguments": part["arguments"]}
        return self.with_metadata({**_id_field(part), "type": "function", "function": function}, own)
