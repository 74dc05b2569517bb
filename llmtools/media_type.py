"""The MIME type of bytes, and the text in them.

Rules, the first that applies counts; what a server tells counts as the name of what it sends:
* Text is what decodes as UTF-8, or as UTF-16 with a byte order mark, and has no NUL. A name whose type is
  a text type decides which text; else the text does: an SVG, an HTML page, or text/plain. So
  `BMW is a maker of cars` is not a picture.
* A signature decides for binary data, and only where one container has several contents the name does:
  .m4a is audio in an MP4, .docx is a document in a ZIP.
* A name decides for binary data without a known signature. If it is the name of a text, the text has
  an encoding that is not known, and the type is "".

Source of the signatures: https://pypi.org/project/filetype
"""

from __future__ import annotations

import os
import re

from .errors import InputError, setting_name

_TEXTS = (
    *("application/json", "application/xml", "application/yaml", "application/x-ndjson", "application/javascript"),
    *("application/x-javascript", "application/ecmascript", "application/typescript", "application/x-typescript"),
    *("application/toml", "application/sql", "application/graphql", "application/x-sh", "application/x-python"),
    *("application/x-yaml", "application/jsonl", "application/x-httpd-php", "application/x-tex", "application/rtf"),
)
_CONTAINERS = {"video/mp4": ("audio/", "image/"), "application/zip": ("application/",), "video/webm": ("audio/",)}
"""Types of containers -> the types of contents that a name may choose."""
_USUAL = {
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "audio/mp4a-latm": "audio/mp4",
    "image/x-ms-bmp": "image/bmp",
    "application/x-gzip": "application/gzip",
}
"""Other spellings of a type -> the usual one, which vendors take."""
_OFFICE = "application/vnd.openxmlformats-officedocument."
_NAMES = {
    ".avif": "image/avif",
    ".docx": f"{_OFFICE}wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg",
    ".pptx": f"{_OFFICE}presentationml.presentation",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".xlsx": f"{_OFFICE}spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""Endings that Python 3.11 does not know."""
_MORE = (
    (8, b"WEBP", "image/webp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
)
"""(offset, signature, type) where the library asks for more than the container has to have."""
_SVG = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--(?:(?!-->).)*-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]", re.IGNORECASE | re.DOTALL
)
_HTML = re.compile(r"\s*(<!doctype html|<html[\s>])", re.IGNORECASE)
_CHARSETS = dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii"), "cp1252")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HEAD = 65536


def media_type(data: bytes, name: str = "", header: str = "") -> str:
    """Return the MIME type of bytes with a file name or URL, "" for a text whose encoding is not known.

    header: the type that a server tells; it counts where the name has none.
    """
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    by_name = type_of_name(name) or _USUAL.get(header, header)
    text = _head_of_text(data)
    if text is not None:
        return by_name if is_text_type(by_name) else _type_of_text(text)
    by_signature = _type_of_signature(data)
    if by_signature:
        is_content = by_name.startswith(_CONTAINERS.get(by_signature, ("-",)))
        return by_name if is_content else by_signature
    if is_text_type(by_name):
        return ""
    return by_name or "application/octet-stream"


def type_of_name(name: str) -> str:
    """Return the MIME type of the ending of a name or URL, "" for an ending that is not known. It is the
    same on every machine: the files of the system are not read."""
    if not name:
        return ""
    from mimetypes import MimeTypes

    ending = os.path.splitext(name)[1].lower()
    kind = _NAMES.get(ending) or MimeTypes(filenames=()).guess_type(f"x{ending}", strict=False)[0] or ""
    return _USUAL.get(kind, kind)


def text_of_bytes(data: bytes, source: str) -> str:
    """Return the text in bytes: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises InputError for other bytes; source is the name in its message.
    """
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        place = f"not UTF-8 text at byte {error.start}" if encoding == "utf-8-sig" else "not UTF-16 text"
        way = setting_name("-a attaches", "an Attachment takes")
        raise InputError(f"{source}: {place} ({way} a file of any kind)") from None


def decode_text(data: bytes, charset: str) -> str | None:
    """Return the text in bytes of a charset, as browsers read it: what does not fit is U+FFFD, and Latin-1
    is Windows-1252. None for a charset that is not known."""
    try:
        return data.decode(_CHARSETS.get(charset.lower(), charset), errors="replace").removeprefix("\ufeff")
    except (LookupError, ValueError):
        return None


def is_utf16(data: bytes) -> bool:
    """Return whether bytes are text in UTF-16 with a byte order mark."""
    return data.startswith(_UTF16) and _head_of_text(data) is not None


def _head_of_text(data: bytes) -> str | None:
    head = data[:_HEAD]
    encoding = "utf-16" if head.startswith(_UTF16) else "utf-8-sig"
    try:
        text = head.decode(encoding)
    except UnicodeDecodeError as error:
        if len(data) == len(head) or error.start < len(head) - 4:  # more than a character that `head` cuts off
            return None
        text = head[: error.start].decode(encoding)
    return None if "\0" in text else text


def is_text_type(kind: str) -> bool:
    """Return whether a MIME type is one of text, as that of an SVG is."""
    return kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+json", "+xml", "+yaml"))


def _type_of_text(text: str) -> str:
    if _SVG.match(text):
        return "image/svg+xml"
    return "text/html" if _HTML.match(text) else "text/plain"


def _type_of_signature(data: bytes) -> str:
    import filetype

    kind = filetype.guess_mime(data[:_HEAD]) or ""
    if not kind:
        kind = next((kind for offset, signature, kind in _MORE if data.startswith(signature, offset)), "")
    return _USUAL.get(kind, kind)
