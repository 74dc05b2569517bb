"""A message as the log keeps it: its hash, its face, its words, and its attachments apart.

Rules:
* The hash is that of llm-stream(5). The face is the same hash of what a client shows that
  echoes text only: role, joined text, calls by name and arguments, outputs, files of the user's.
* An attachment's bytes stand in a table of their own, by their sha256, however they came. In
  the body `content` becomes {"sha256": …}, so that the message comes back as it was; base64
  that another encoder would write otherwise stays as it is.
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

LARGEST = 900_000_000
"""Bytes of an attachment that SQLite still takes; a larger one stays where it is."""
_WORDS = {"text": ("text",), "reasoning": ("text",), "refusal": ("text",), "tool_call": ("name", "arguments")}
_RESULT = ("name", "output", "exception")
_SPACELESS = re.compile("([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")
_KNOWN = frozenset(("type", "role", "parts", "provider_metadata", "response"))
BREAK = "\u200b"
"""Stands between the characters of a script that puts no spaces between words."""


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    from hashlib import sha256

    return sha256(data).digest()


class Node:
    """A message that is to be stored, at its place. What only a new one needs is made when it
    is asked for, once.

    kept: the message as its body has it; varies: whether what no hash covers may differ in it
    from what is stored; contents: the bytes of its attachments, by their sha256.
    """

    def __init__(self, message: Message, parent: bytes, depth: int) -> None:
        self.contents: dict[bytes, bytes] = {}
        self.response: Object | None = message.get("response")  # type: ignore[assignment]
        rest = {name: value for name, value in message.items() if name not in ("type", "response")}
        self.kept: Any = {"type": "message", **rest}
        self._whole: Any = self.kept
        self.varies = len(self.kept.keys() | _KNOWN) > len(_KNOWN)
        if any(True for _ in attachments_of(message)):
            self._part_from_attachments()
        self.hash = node_hash(self._whole, parent)  # type: ignore[arg-type]
        self.depth = depth
        self._body: str | None = None
        self._words: str | None = None

    def _part_from_attachments(self) -> None:
        kept, self.varies = self.kept, True
        try:
            found = [_content(attachment) for attachment in attachments_of(kept)]
        except ValueError as error:
            raise InputError(f"an attachment that is no base64: {error}") from None
        self.contents = {content.digest: content.data for content in found if content and content.data is not None}
        contents = iter(found)
        self._whole = with_attachments(kept, lambda attachment: _identified(attachment, next(contents)))
        contents = iter(found)
        self.kept = with_attachments(kept, lambda attachment: _referred(attachment, next(contents)))

    @property
    def body(self) -> str:
        """The message without its response, as JSON."""
        if self._body is None:
            self._body = dumps(self.kept).decode()
        return self._body

    @property
    def words(self) -> str:
        """The text by which the message is found."""
        if self._words is None:
            self._words = words_of(self.kept)
        return self._words

    @property
    def called(self) -> set[str]:
        """The names of the tools that are called, or answer, in the message."""
        return {part["name"] for part in self.kept["parts"] if part["type"] in ("tool_call", "tool_result")}

    def face(self, parent: bytes) -> bytes:
        """Return the hash of the face, behind that of the parent."""
        return node_hash(face_of(self._whole), parent)


def attachments_of(message: Message) -> Iterator[Object]:
    """Yield the attachments of a message, those of tool results too."""
    for part in message["parts"]:
        if part["type"] == "attachment" and "attachment" in part:
            yield part["attachment"]
        elif part["type"] == "tool_result":
            yield from part.get("attachments", ())


def with_attachments(message: Message, change: Callable[[Object], Object]) -> Message:
    """Return a message with each of its attachments changed."""
    parts: list[Part] = []
    for part in message["parts"]:
        if part["type"] == "attachment" and "attachment" in part:
            part = {**part, "attachment": change(part["attachment"])}
        elif part["type"] == "tool_result" and "attachments" in part:
            part = {**part, "attachments": [change(attachment) for attachment in part["attachments"]]}
        parts.append(part)
    return {**message, "parts": parts}


class _Content(NamedTuple):
    """The bytes of an attachment: `data` is None where they are not to be stored apart."""

    digest: bytes
    data: bytes | None


def _content(attachment: Object) -> _Content | None:
    """Return what an attachment holds, be it inline or in a file that is what it was said to be."""
    content = attachment.get("content")
    if isinstance(content, str):
        data = a2b_base64(content)
        return _Content(sha256(data), data if _is_plain(content, data) and len(data) <= LARGEST else None)
    if content is None and "path" in attachment and "sha256" in attachment:
        held = _file(attachment["path"], attachment["sha256"])
        return None if held is None else _Content(sha256(held), held)
    return None


def _is_plain(content: str, data: bytes) -> bool:
    """Whether base64 is as any encoder writes it, so that the bytes alone give it back."""
    last = b2a_base64(data[(len(data) - 1) // 3 * 3 :], newline=False).decode() if data else ""
    return len(content) == (len(data) + 2) // 3 * 4 and content.endswith(last) and content.isascii()


def _identified(attachment: Object, content: _Content | None) -> Object:
    """Return an attachment with its sha256 in the place of its content."""
    if content is None or "content" not in attachment:
        return attachment
    rest = {name: value for name, value in attachment.items() if name not in ("content", "url")}
    return {**rest, "sha256": content.digest.hex()}


def _referred(attachment: Object, content: _Content | None) -> Object:
    """Return an attachment as a body has it."""
    if content is None or content.data is None or "content" not in attachment:
        return attachment
    return {**attachment, "content": {"sha256": content.digest.hex()}}


def _file(path: str, digest: str) -> bytes | None:
    """Return what a file holds if it is what it was said to be."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
                return None
            data = file.read(LARGEST)
    except (OSError, ValueError):
        return None
    return data if sha256(data).hex() == digest else None


def stored_message(body: str | bytes) -> Message:
    """Return the message of a body, its attachments still by reference.

    Raises InputError for a body that is damaged.
    """
    message: Message = loads(body)
    parts = message.get("parts") if type(message) is dict else None
    if type(parts) is not list or any(type(part) is not dict or "type" not in part for part in parts):
        raise InputError("a stored message has a wrong shape")
    check_message(with_attachments(message, _by_digest))
    return message


def _by_digest(attachment: Object) -> Object:
    """Return an attachment with the sha256 that its content refers to. Raises InputError for another content."""
    content = attachment.get("content") if type(attachment) is dict else None
    if type(content) is not dict:
        return attachment
    if not re.fullmatch("[0-9a-f]{64}", str(content.get("sha256"))):
        raise InputError("a stored attachment has a wrong shape")
    rest = {name: value for name, value in attachment.items() if name not in ("content", "url")}
    return {**rest, "sha256": content["sha256"]}


def stored_response(body: str | bytes) -> Object:
    """Return the `response` of a body. Raises InputError for one that is damaged."""
    response: Object = loads(body)
    check_message({"role": "assistant", "parts": [], "response": {"exit_status": 1, **response}})
    return response


def restored(body: str, content_of: Callable[[bytes], bytes | None]) -> Message:
    """Return the message of a body, its attachments whole again.

    One by path stays so while the file is what it was; else it gets the bytes that are stored.
    """

    def whole(attachment: Object) -> Object:
        content = attachment.get("content")
        if type(content) is dict:
            data = content_of(bytes.fromhex(content["sha256"]))
            if data is None:  # damaged: `verify` tells; the identity stays
                rest = {name: value for name, value in attachment.items() if name != "content"}
                return {**rest, "sha256": content["sha256"]}
            return {**attachment, "content": b2a_base64(data, newline=False).decode()}
        if content is None and "sha256" in attachment:
            return _by_hash(attachment, content_of)
        return attachment

    return with_attachments(stored_message(body), whole)


def _by_hash(attachment: Object, content_of: Callable[[bytes], bytes | None]) -> Object:
    if "path" in attachment and _file(attachment["path"], attachment["sha256"]) is not None:
        return attachment
    try:
        data = content_of(bytes.fromhex(attachment["sha256"]))
    except ValueError:
        return attachment
    if data is None:
        return attachment
    rest = {name: value for name, value in attachment.items() if name not in ("path", "sha256")}
    return {**rest, "content": b2a_base64(data, newline=False).decode()}


def identified(body: str) -> Message:
    """Return the message of a body with each attachment by its hash: what its own hash covers."""
    return with_attachments(stored_message(body), _by_digest)


def face_of(message: Message) -> Message:
    """Return what a client that knows only text shows of a message."""
    parts: list[Part] = [{"type": "text", "text": (text_of(message) or _refusal(message)).strip()}]
    for part in message["parts"]:
        if part["type"] == "tool_call" and not part.get("server_executed"):
            parts.append({"type": "tool_call", "name": part["name"], "arguments": part["arguments"]})
        elif part["type"] == "tool_result" and not part.get("server_executed"):
            parts.append({"type": "tool_result", "output": part["output"]})
        elif part["type"] == "attachment" and "attachment" in part and message["role"] != "assistant":
            rest = {name: value for name, value in part["attachment"].items() if name != "type"}
            parts.append({"type": "attachment", "attachment": rest})
    return {"type": "message", "role": message["role"], "parts": parts}


def _refusal(message: Message) -> str:
    return "".join([part["text"] for part in message["parts"] if part["type"] == "refusal"])


def words_of(message: Message) -> str:
    """Return the text by which a message is found. It is not stored: what was indexed is made
    again to be taken out, so another text needs another VERSION of the schema."""
    found: list[str] = []
    for part in message["parts"]:
        names = _RESULT if part["type"] == "tool_result" else _WORDS.get(part["type"], ())
        for name in names:
            found += _strings(part.get(name))
    found += [attachment["name"] for attachment in attachments_of(message) if "name" in attachment]
    return spaced("\n".join(found))


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


def spaced(text: str) -> str:
    """Return a text with a break around each character of a script without spaces, so that
    every one is a word."""
    return text if text.isascii() else _SPACELESS.sub(f"{BREAK}\\1{BREAK}", text)


def tool_body(record: Record) -> str:
    """Return a tool record as it is kept."""
    return dumps({"type": "tool", **record}).decode()
