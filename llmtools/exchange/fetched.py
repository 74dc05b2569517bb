"""Attachments by URL: the vendor fetches some types itself, the others are fetched here. No I/O.

Rule: what stands in a stream may come from elsewhere. A URL that a model on another machine
is to see is fetched only from where anyone could fetch it, never from this machine or from
a private network.
"""

from __future__ import annotations

from binascii import b2a_base64

from ..attachment import mime_type
from ..http.request import Fetch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any

    from ..protocols.spec import Spec
    from ..records.types import Attachment, Message


def with_fetched(
    messages: list[Message], spec: Spec, quirks: Iterable[str], *, is_public: bool
) -> Generator[Fetch, Any, list[Message]]:
    """Return the messages with the bytes of the attachments that have to be fetched.

    Raises the LlmToolsError that comes back for one.
    """
    taken = spec.url_begins(quirks)
    held: dict[str, bytes] = {}
    filled = []
    for message in messages:
        parts = message["parts"]
        for attachment in _attachments(parts):
            url = attachment.get("url", "")
            if _is_wanted(attachment, taken) and url not in held:
                data = yield Fetch(url, is_public)
                if not isinstance(data, bytes):
                    raise data
                held[url] = data
        if held:
            message = {**message, "parts": [_filled(part, taken, held) for part in parts]}
        filled.append(message)
    return filled


def _attachments(parts: list[dict[str, Any]]) -> Generator[Attachment, None, None]:
    for part in parts:
        yield from part.get("attachments", ())
        if "attachment" in part:
            yield part["attachment"]


def _is_wanted(attachment: Attachment, taken: tuple[str, ...]) -> bool:
    url, kind = attachment.get("url", ""), attachment.get("type") or "image/"
    return url.startswith(("http://", "https://")) and "content" not in attachment and not kind.startswith(taken)


def _filled(part: dict[str, Any], taken: tuple[str, ...], held: dict[str, bytes]) -> dict[str, Any]:
    def filled(attachment: Attachment) -> Attachment:
        if not _is_wanted(attachment, taken):
            return attachment
        data = held[attachment["url"]]
        rest = {name: value for name, value in attachment.items() if name != "url"}
        kind = attachment.get("type") or mime_type(data, attachment["url"].partition("?")[0])
        content = b2a_base64(data, newline=False).decode()
        return {**rest, "type": kind, "content": content}  # type: ignore[typeddict-item]

    if "attachment" in part:
        part = {**part, "attachment": filled(part["attachment"])}
    if "attachments" in part:
        part = {**part, "attachments": [filled(attachment) for attachment in part["attachments"]]}
    return part
