"""A message as the log stores it: its hash, its face, its search text, and its attachments apart.

Rules:
* The hash is that of llm-stream(5). The face is the same hash over what a client that keeps only
  text sends back: role, joined text, calls by name and arguments, outputs, the user's files.
* The bytes of an attachment are in their own table, by their sha256. In the body, `content`
  becomes {"sha256": …}, so that the message can be restored exactly. Base64 that is not in the
  standard form stays in the body.
"""

from __future__ import annotations

import os
import re
import stat
from binascii import a2b_base64, b2a_base64
from typing import NamedTuple

from ..errors import InputError
from ..records.canonical import node_hash
from ..records.check import check_message
from ..records.conversation import text_of
from ..records.jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..records.types import Message, Part, Record

    Object = dict[str, Any]

MAX_ATTACHMENT = 900_000_000
"""The most bytes of an attachment in its own table: SQLite takes no larger value. A larger one stays in the body."""
_SEARCHED = {"text": ("text",), "reasoning": ("text",), "refusal": ("text",), "tool_call": ("name", "arguments"),
             "tool_result": ("name", "output", "exception")}  # fmt: skip
"""The fields of each type of part that a search finds."""
_SPACELESS = re.compile("([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")
_COMMON_FIELDS = frozenset(("type", "role", "parts", "provider_metadata", "response"))
LINE_WIDTH = 60
"""The most characters of a message that a list or a drawing shows."""
WORD_BREAK = "\u200b"
"""Separates the characters of scripts without spaces between words, for the full-text index."""


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    from hashlib import sha256

    return sha256(data).digest()


class Node:
    """A message to store, at its place. What only a new message needs is computed on first use.

    message: the message with attachments by reference. may_differ: whether fields that the hash
    does not cover may differ from the stored message. contents: the bytes of its attachments, by
    their sha256. Raises InputError for a message that has no canonical form.
    """

    def __init__(self, message: Message, parent: bytes, depth: int) -> None:
        self.contents: dict[bytes, bytes] = {}
        self.response: Object | None = message.get("response")  # type: ignore[assignment]
        rest = {name: value for name, value in message.items() if name not in ("type", "response")}
        self.message: Any = {"type": "message", **rest}
        self._hashed: Any = self.message
        self.may_differ = len(self.message.keys() | _COMMON_FIELDS) > len(_COMMON_FIELDS)
        if any(True for _ in attachments_of(message)):
            self._detach_attachments()
        self.hash = node_hash(self._hashed, parent)  # type: ignore[arg-type]
        self.depth = depth
        self._body: str | None = None
        self._search_text: str | None = None

    def _detach_attachments(self) -> None:
        message, self.may_differ = self.message, True
        try:
            all_contents = [_read_content(attachment) for attachment in attachments_of(message)]
        except ValueError as error:
            raise InputError(f"an attachment is not base64: {error}") from None
        self.contents = {item.digest: item.data for item in all_contents if item and item.data is not None}
        contents = iter(all_contents)
        self._hashed = map_attachments(message, lambda attachment: _with_digest(attachment, next(contents)))
        contents = iter(all_contents)
        self.message = map_attachments(message, lambda attachment: _with_reference(attachment, next(contents)))

    @property
    def body(self) -> str:
        """The message without its response, as JSON."""
        if self._body is None:
            self._body = dumps(self.message).decode()
        return self._body

    @property
    def search_text(self) -> str:
        """The text of the message for the full-text index."""
        if self._search_text is None:
            self._search_text = search_text_of(self.message)
        return self._search_text

    @property
    def tool_names(self) -> set[str]:
        """The names of the tools that the message calls, or has results of."""
        return {part["name"] for part in self.message["parts"] if part["type"] in ("tool_call", "tool_result")}

    def face(self, parent: bytes) -> bytes:
        """Return the hash of the face, after the face of the parent."""
        return node_hash(face_of(self._hashed), parent)


# Attachments


def attachments_of(message: Message) -> Iterator[Object]:
    """Yield the attachments of a message, also those of tool results."""
    for part in message["parts"]:
        if part["type"] == "attachment" and "attachment" in part:
            yield part["attachment"]
        elif part["type"] == "tool_result":
            yield from part.get("attachments", ())


def map_attachments(message: Message, change: Callable[[Object], Object]) -> Message:
    """Return a message with `change` applied to each of its attachments."""
    parts: list[Part] = []
    for part in message["parts"]:
        if part["type"] == "attachment" and "attachment" in part:
            part = {**part, "attachment": change(part["attachment"])}
        elif part["type"] == "tool_result" and "attachments" in part:
            part = {**part, "attachments": [change(attachment) for attachment in part["attachments"]]}
        parts.append(part)
    return {**message, "parts": parts}


class _Content(NamedTuple):
    """The digest and the bytes of an attachment. `data` is None if the bytes stay in the body."""

    digest: bytes
    data: bytes | None


def _read_content(attachment: Object) -> _Content | None:
    """Return the content of an attachment, inline or from a file that still has its sha256; None for
    another. Raises ValueError for invalid base64."""
    content = attachment.get("content")
    if isinstance(content, str):
        data = a2b_base64(content)
        is_detached = _is_standard_base64(content, data) and len(data) <= MAX_ATTACHMENT
        return _Content(sha256(data), data if is_detached else None)
    if content is None and "path" in attachment and "sha256" in attachment:
        unchanged = _read_unchanged(attachment["path"], attachment["sha256"])
        return None if unchanged is None else _Content(sha256(unchanged), unchanged)
    return None


def _is_standard_base64(content: str, data: bytes) -> bool:
    """Whether encoding `data` gives exactly `content`, checked by length and end."""
    last = b2a_base64(data[(len(data) - 1) // 3 * 3 :], newline=False).decode() if data else ""
    return len(content) == (len(data) + 2) // 3 * 4 and content.endswith(last) and content.isascii()


def _without_fields(attachment: Object, *names: str) -> Object:
    return {name: value for name, value in attachment.items() if name not in names}


def _with_digest(attachment: Object, content: _Content | None) -> Object:
    """Return an attachment with its sha256 in place of inline content, as the hash covers it."""
    if content is None or "content" not in attachment:
        return attachment
    return {**_without_fields(attachment, "content", "url"), "sha256": content.digest.hex()}


def _with_reference(attachment: Object, content: _Content | None) -> Object:
    """Return an attachment with {"sha256": …} in place of inline content, as the body has it."""
    if content is None or content.data is None or "content" not in attachment:
        return attachment
    return {**attachment, "content": {"sha256": content.digest.hex()}}


def _read_unchanged(path: str, digest: str) -> bytes | None:
    """Return the bytes of a regular file if their SHA-256 is `digest` (hexadecimal), else None."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_ATTACHMENT:
                return None
            data = file.read(MAX_ATTACHMENT)
    except (OSError, ValueError):
        return None
    return data if sha256(data).hex() == digest else None


# From the database


def load_message(body: str | bytes) -> Message:
    """Return the message of a body, its attachments by reference.

    Raises InputError if the body is damaged.
    """
    message: Message = loads(body)
    parts = message.get("parts") if type(message) is dict else None
    if type(parts) is not list or any(type(part) is not dict or "type" not in part for part in parts):
        raise InputError("a stored message has a wrong shape")
    check_message(map_attachments(message, _reference_to_digest))
    return message


def _reference_to_digest(attachment: Object) -> Object:
    """Return an attachment with a sha256 in place of a reference to one. Raises InputError if the
    reference is damaged."""
    content = attachment.get("content") if type(attachment) is dict else None
    if type(content) is not dict:
        return attachment
    if not re.fullmatch("[0-9a-f]{64}", str(content.get("sha256"))):
        raise InputError("a stored attachment has a wrong shape")
    return {**_without_fields(attachment, "content", "url"), "sha256": content["sha256"]}


def load_response(body: str | bytes) -> Object:
    """Return the `response` of a body. Raises InputError if the body is damaged."""
    response: Object = loads(body)
    check_message({"role": "assistant", "parts": [], "response": {"exit_status": 1, **response}})
    return response


def restore_message(body: str, content_of: Callable[[bytes], bytes | None]) -> Message:
    """Return the message of a body with the contents of its attachments.

    content_of: returns the stored bytes for a digest, or None. An attachment by path stays one
    while the file is unchanged; otherwise it gets the stored bytes. Raises InputError if the body
    is damaged.
    """

    def restore(attachment: Object) -> Object:
        content = attachment.get("content")
        if type(content) is dict:
            data = content_of(bytes.fromhex(content["sha256"]))
            if data is None:  # damaged, as `verify` reports: keep at least the identity
                return {**_without_fields(attachment, "content"), "sha256": content["sha256"]}
            return {**attachment, "content": b2a_base64(data, newline=False).decode()}
        if content is None and "sha256" in attachment:
            return _restore_file(attachment, content_of)
        return attachment

    return map_attachments(load_message(body), restore)


def _restore_file(attachment: Object, content_of: Callable[[bytes], bytes | None]) -> Object:
    if "path" in attachment and _read_unchanged(attachment["path"], attachment["sha256"]) is not None:
        return attachment
    try:
        data = content_of(bytes.fromhex(attachment["sha256"]))
    except ValueError:
        return attachment
    if data is None:
        return attachment
    return {**_without_fields(attachment, "path", "sha256"), "content": b2a_base64(data, newline=False).decode()}


def load_hashed_message(body: str) -> Message:
    """Return the message of a body in the form that its hash covers: each attachment by its sha256.

    Raises InputError if the body is damaged.
    """
    return map_attachments(load_message(body), _reference_to_digest)


# Faces and words


def face_of(message: Message) -> Message:
    """Return a message as a client that keeps only text sends it back."""
    parts: list[Part] = [{"type": "text", "text": (text_of(message) or _refusal_text(message)).strip()}]
    for part in message["parts"]:
        if part["type"] == "tool_call" and not part.get("server_executed"):
            parts.append({"type": "tool_call", "name": part["name"], "arguments": part["arguments"]})
        elif part["type"] == "tool_result" and not part.get("server_executed"):
            parts.append({"type": "tool_result", "output": part["output"]})
        elif part["type"] == "attachment" and "attachment" in part and message["role"] != "assistant":
            parts.append({"type": "attachment", "attachment": _without_fields(part["attachment"], "type")})
    return {"type": "message", "role": message["role"], "parts": parts}


def _refusal_text(message: Message) -> str:
    return "".join([part["text"] for part in message["parts"] if part["type"] == "refusal"])


def search_text_of(message: Message) -> str:
    """Return the text of a message for the full-text index.

    The text is not stored: to remove a message from the index it is computed again. If this
    function returns other texts, `database.SCHEMA_VERSION` must change.
    """
    texts: list[str] = []
    for part in message["parts"]:
        for name in _SEARCHED.get(part["type"], ()):
            texts += _strings(part.get(name))
    texts += [attachment["name"] for attachment in attachments_of(message) if "name" in attachment]
    return separate_words("\n".join(texts))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield dumps(value).decode()


def separate_words(text: str) -> str:
    """Return a text with `WORD_BREAK` around each character of a script without spaces between words,
    so that the index takes each as a word."""
    return text if text.isascii() else _SPACELESS.sub(f"{WORD_BREAK}\\1{WORD_BREAK}", text)


def one_line(text: str) -> str:
    """Return a text on one line, cut to `LINE_WIDTH` characters."""
    text = " ".join(text.split())
    return text if len(text) <= LINE_WIDTH else text[: LINE_WIDTH - 1] + "…"


def tool_body(record: Record) -> str:
    """Return a tool record as the log stores it."""
    return dumps({"type": "tool", **record}).decode()
