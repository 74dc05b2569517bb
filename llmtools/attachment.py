"""Attachments: from bytes and files to a part of a message, and back.

Rules:
* The type is that of `media_type`.
* Bytes are inline (base64), or the attachment is a reference: a path with the sha256 of the
  file. A file that changed is refused, and a path without its sha256 too: a stream from another
  machine cannot upload a file that its author has not read. A file that is not regular is refused.
"""

from __future__ import annotations

import os
from binascii import b2a_base64

from .errors import InputError, NoInputError, setting_name
from .files import read_file
from .media_type import is_utf16, media_type, text_of_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .records.types import Attachment, Message, Part


def _sha256(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()


def type_of(data: bytes, name: str = "", mime: str | None = None, header: str = "") -> str:
    """Return the MIME type of an attachment: `mime`, else that of its bytes, its name, and the `header` of
    the server that it comes from.

    Raises InputError for a text whose encoding is not known.
    """
    kind = mime or media_type(data, name, header)
    if not kind:
        advice = f"convert it (iconv -t utf-8), or give its type with {setting_name('--mime', 'type')}"
        raise InputError(f"{name}: text that is neither UTF-8 nor UTF-16: {advice}")
    return kind


def from_bytes(data: bytes, *, name: str = "", mime: str | None = None) -> Attachment:
    """Return an attachment with its bytes inline; text in UTF-16 becomes UTF-8.

    Raises InputError for a text whose encoding is not known.
    """
    attachment: Attachment = {"type": type_of(data, name, mime)}
    if mime is None and is_utf16(data):
        data = text_of_bytes(data, name).encode()
    if name:
        attachment["name"] = os.path.basename(name)
    attachment["content"] = b2a_base64(data, newline=False).decode()
    return attachment


def from_file(path: str, *, mime: str | None = None, ref: bool = False) -> Attachment:
    """Return an attachment of a file: inline, or with `ref` by its absolute path and sha256.

    Raises NoInputError for a file that cannot be read or is not regular, InputError for one that is too
    large, or a text whose encoding is not known.
    """
    data = read_file(path, is_regular=True)
    if not ref:
        return from_bytes(data, name=path, mime=mime)
    return {
        "type": type_of(data, path, mime),
        "name": os.path.basename(path),
        "path": os.path.abspath(path),
        "sha256": _sha256(data),
    }


def data_of(attachment: Attachment) -> bytes | None:
    """Return the bytes of an attachment; None for a URL or a file of the vendor.

    Raises InputError for content that is not base64, for a path without its sha256, and for a file that
    has another sha256 or is too large; NoInputError for a file that cannot be read or is not regular.
    """
    if "content" in attachment:
        from .records.attachments import decode_base64

        return decode_base64(attachment["content"], is_strict=True)
    if "path" not in attachment:
        return None
    path, sha256 = attachment["path"], attachment.get("sha256")
    if not sha256:
        raise InputError(f"attachment: the path {path} has no sha256 beside it")
    data = read_file(path, is_regular=True)
    if _sha256(data) != sha256:
        raise InputError(f"attachment: {path} has changed: its sha256 differs")
    return data


def _with_file_bytes(attachment: Attachment, role: str) -> Attachment:
    if role == "assistant" and "path" not in attachment:  # the model wrote it: it goes back as it came
        return attachment
    data = data_of(attachment)
    if data is None or ("content" in attachment and attachment.get("type")):
        return attachment
    rest = {name: value for name, value in attachment.items() if name not in ("path", "sha256")}
    kind = type_of(data, attachment.get("name", ""), attachment.get("type"))
    return {**rest, "type": kind, "content": b2a_base64(data, newline=False).decode()}  # type: ignore[typeddict-item]


def with_file_bytes(messages: list[Message]) -> list[Message]:
    """Return messages with the bytes of the files that their attachments name, each with its type.

    Raises the errors of `data_of`, with the message and the part in front.
    """
    from .records.attachments import with_attachments

    filled: list[Message] = []
    for number, message in enumerate(messages, 1):
        parts: list[Part] = []
        role = message["role"]
        for part in message["parts"]:
            try:
                parts.append(with_attachments(part, lambda attachment: _with_file_bytes(attachment, role)))  # noqa: B023
            except (InputError, NoInputError) as error:
                error.message = f"message {number} ({role}), part {len(parts) + 1}: {error.message}"
                raise
        filled.append({**message, "parts": parts})
    return filled
