"""The attachments in a part, and their base64."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from ..errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .types import Attachment, Part


def attachments_of(part: Part) -> list[Attachment]:
    """Return the attachments of a part: none for a part of another type, whatever its fields."""
    if part["type"] == "tool_result":
        return list(part.get("attachments", ()))
    return [part["attachment"]] if part["type"] == "attachment" and "attachment" in part else []


def with_attachments(part: Part, change: Callable[[Any], Any]) -> Part:
    """Return a part with each of its attachments changed."""
    if part["type"] == "tool_result" and "attachments" in part:
        return {**part, "attachments": [change(attachment) for attachment in part["attachments"]]}
    if part["type"] == "attachment" and "attachment" in part:
        return {**part, "attachment": change(part["attachment"])}
    return part


def decode_base64(content: str, *, is_strict: bool = False) -> bytes:
    """Return the bytes of base64 text.

    is_strict: refuse what vendors refuse: line breaks, other characters, wrong padding. Content
    that is stored or hashed is read leniently, so that it is not lost.
    Raises InputError for text that is not base64.
    """
    try:
        return a2b_base64(content, strict_mode=is_strict)
    except (Base64Error, ValueError) as error:
        raise InputError(f"attachment: content is not base64: {error}") from None


def encode_base64(data: bytes) -> str:
    """Return bytes as base64 text in one line."""
    return b2a_base64(data, newline=False).decode()
