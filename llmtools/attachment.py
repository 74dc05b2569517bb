"""Attachments: from bytes and files to a part of a message, and back.

Rules:
* The bytes decide the type. The name decides only between types that the bytes allow.
* Bytes are inline (base64), or the attachment is a reference: a path with the sha256 of the
  file. A file that changed is refused, and a path without its sha256 too: a stream from another
  machine cannot upload a file that its author has not read.
"""

from __future__ import annotations

import os
from binascii import b2a_base64

from .errors import InputError, NoInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .records.types import Attachment, Message, Part

_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"PK\x03\x04", "application/zip"),
)
_ZIPPED = ("application/vnd.", "application/epub", "application/x-", "application/java")


def mime_type(data: bytes, name: str = "") -> str:
    """Return the MIME type of bytes: by their signature, else as text by `name`."""
    for offset, signature, mime in _SIGNATURES:
        if data.startswith(signature, offset):
            by_name = type_by_name(name) if mime == "application/zip" else ""
            return by_name if by_name.startswith(_ZIPPED) else mime
    if not _is_text(data[:65536]):
        return "application/octet-stream"
    by_name = type_by_name(name)
    is_text = by_name.startswith("text/") or by_name in ("application/json", "application/xml", "image/svg+xml")
    return by_name if is_text else "text/plain"


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # more than a character that `head` cuts off
            return False
    return b"\0" not in head


def type_by_name(name: str) -> str:
    """Return the MIME type of the ending of a name or a URL, "" for an ending that is not known."""
    if not name:
        return ""
    import mimetypes

    return mimetypes.guess_type(name, strict=False)[0] or ""


def read_file(path: str) -> bytes:
    """Return the bytes of a file. Raises NoInputError for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise NoInputError(f"{path!r}: {error}") from None


def _sha256(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()


def from_bytes(data: bytes, *, name: str = "", mime: str | None = None) -> Attachment:
    """Return an attachment with its bytes inline."""
    attachment: Attachment = {"type": mime or mime_type(data, name)}
    if name:
        attachment["name"] = os.path.basename(name)
    attachment["content"] = b2a_base64(data, newline=False).decode()
    return attachment


def from_file(path: str, *, mime: str | None = None, ref: bool = False) -> Attachment:
    """Return an attachment of a file: inline, or with `ref` by its absolute path and sha256.

    Raises NoInputError for a file that cannot be read.
    """
    data = read_file(path)
    if not ref:
        return from_bytes(data, name=path, mime=mime)
    return {
        "type": mime or mime_type(data, path),
        "name": os.path.basename(path),
        "path": os.path.abspath(path),
        "sha256": _sha256(data),
    }


def text_from(data: bytes, source: str) -> str:
    """Return the text that UTF-8 bytes are. Raises InputError for other bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not UTF-8 text at byte {error.start} (-a attaches a file of any kind)") from None


def data_of(attachment: Attachment) -> bytes | None:
    """Return the bytes of an attachment; None for a URL or a file of the vendor.

    Raises InputError for content that is not base64, for a path without its sha256, and for a file
    with another sha256; NoInputError for a file that cannot be read.
    """
    if "content" in attachment:
        from .records.attachments import decode_base64

        return decode_base64(attachment["content"], is_strict=True)
    if "path" not in attachment:
        return None
    path, sha256 = attachment["path"], attachment.get("sha256")
    if not sha256:
        raise InputError(f"attachment: the path {path} has no sha256 beside it")
    data = read_file(path)
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
    kind = attachment.get("type") or mime_type(data, attachment.get("name", ""))
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
