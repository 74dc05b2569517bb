"""Gemini Interactions, images, sounds, films and documents: contents of the vendor's to attachments and back."""

from __future__ import annotations

from ..json_fields import string_or_empty, unhandled_fields
from ..media_types import bytes_of_base64, image_type, sound_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Attachment
    from ..json_fields import JsonObject

KINDS = ("image", "audio", "video", "document")
"""The types of contents that are files."""

_FIELDS = frozenset(("type", "data", "uri", "mime_type"))


def kind_of(mime: str) -> str:
    """Return the type of the content that holds a file of a MIME type."""
    kind = mime.partition("/")[0]
    return kind if kind in KINDS else "document"


def content_of(attachment: Attachment, own: JsonObject) -> JsonObject:
    """Return the content of an attachment. One without bytes and URL has no place of its own. `own` is its metadata."""
    mime = attachment.get("type", "")
    kind = own["type"] if own.get("type") in KINDS else kind_of(mime)
    content: JsonObject = {"type": kind, **({"mime_type": mime} if mime else {})}
    if "content" in attachment:
        content["data"] = attachment["content"]
    elif "url" in attachment:
        content["uri"] = attachment["url"]
    return content


def attachment_of(content: JsonObject) -> tuple[JsonObject, JsonObject] | None:
    """Return a content of the vendor's as an attachment, and the fields that it does not hold; None if
    the content has no base64 and no URL."""
    kind, mime = string_or_empty(content.get("type")), string_or_empty(content.get("mime_type"))
    data, uri = string_or_empty(content.get("data")), string_or_empty(content.get("uri"))
    decoded = bytes_of_base64(data)
    if not decoded and (data or not uri):
        return None
    if not mime and decoded:
        mime = {"image": image_type, "audio": sound_type}.get(kind, lambda _: "")(decoded)
    place = {"content": data} if data else {"url": uri}
    rest = unhandled_fields(content, _FIELDS)
    if kind != kind_of(mime):
        rest["type"] = kind
    if data and uri:
        rest["uri"] = uri
    return {**({"type": mime} if mime else {}), **place}, rest
