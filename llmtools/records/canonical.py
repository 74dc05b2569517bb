"""The canonical JSON of a message, and the hash that identifies it in a conversation.

Rules (llm-stream(5), "Identity", gives them with test vectors):
* It has the role, the parts and the provider_metadata, without `response`. An attachment is its
  type with the sha256 of its bytes, or with its URL.
* Keys are sorted by code point, there are no spaces, strings are not normalised.
* Numbers are written as in RFC 8785, section 3.2.2.3. A number that a double cannot represent
  keeps the form that it came in.
"""

from __future__ import annotations

import orjson

from ..errors import InputError
from .attachments import decode_base64, with_attachments
from .jsonl import Number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .types import Message

TAG = b"llmtools/message/1\n"
ROOT = bytes(32)
"""The parent of a first message."""


def format_number(value: float) -> str:
    """Return a number as in RFC 8785, which is Number::toString of ECMAScript.

    An integer or `Number` that a double cannot represent keeps the form that it came in.
    """
    if isinstance(value, Number):
        return value.text
    if isinstance(value, int) and abs(value) < 1 << 53:
        return str(value)
    if isinstance(value, int):
        return _format_large_integer(value)
    return _format_float(value)


def _format_large_integer(value: int) -> str:
    from decimal import Decimal

    try:
        text = _format_float(float(value))
    except OverflowError:
        return str(value)
    return text if Decimal(text) == value else str(value)


def _format_float(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)  # the position of the decimal point in the digits
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        text = digits.ljust(point, "0") if len(digits) <= point else f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return sign + text


def _identity_of(attachment: dict[str, Any]) -> dict[str, Any]:
    identity = {"type": attachment["type"]} if "type" in attachment else {}
    if "content" in attachment:
        return {**identity, "sha256": _sha256(decode_base64(attachment["content"])).hex()}
    for name in ("sha256", "url"):
        if name in attachment:
            return {**identity, name: attachment[name]}
    return identity


def _with_canonical_numbers(value: Any) -> Any:
    """Return `value` with its numbers as fragments of canonical JSON."""
    if isinstance(value, dict):
        return {key: _with_canonical_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_canonical_numbers(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return orjson.Fragment(format_number(value))
    return value


def canonical_json(message: Message) -> bytes:
    """Return the canonical JSON of a message, in UTF-8.

    Raises InputError for a message that has none: content that is not base64, a lone surrogate,
    or too many levels.

        llmtools.canonical_json(llmtools.user("hi")) == llmtools.canonical_json(llmtools.user("h", "i"))  # False
    """
    try:
        counted: dict[str, Any] = {
            "role": message["role"],
            "parts": [with_attachments(part, _identity_of) for part in message["parts"]],
        }
        if message.get("provider_metadata"):
            counted["provider_metadata"] = message["provider_metadata"]
        return orjson.dumps(_with_canonical_numbers(counted), option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"a message without a canonical form: {error}") from None


def _sha256(data: bytes) -> bytes:
    from hashlib import sha256

    return sha256(data).digest()


def node_hash(message: Message, parent: bytes = ROOT) -> bytes:
    """Return the 32 bytes that identify `message` as a child of the node `parent`: the SHA-256 of
    the tag, the hash of the parent, and the canonical message.

        first = llmtools.node_hash(llmtools.user("hi"))
        second = llmtools.node_hash(llmtools.assistant("ho"), first)
    """
    return _sha256(TAG + parent + canonical_json(message))
