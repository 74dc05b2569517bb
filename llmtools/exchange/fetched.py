"""Attachments by URL: the vendor fetches some types itself, the others are fetched here. No I/O.

Rule: what stands in a stream may come from elsewhere. A URL that a model on another machine
is to see is fetched only from where anyone could fetch it, never from this machine or from
a private network.
"""

from __future__ import annotations

from functools import partial

from ..attachment import mime_type
from ..http.request import Fetch
from ..records.attachments import attachments_of, encode_base64, with_attachments

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
    fetched: dict[str, bytes] = {}
    filled = []
    for message in messages:
        for attachment in [each for part in message["parts"] for each in attachments_of(part)]:
            url = attachment.get("url", "")
            if _is_wanted(attachment, taken) and url not in fetched:
                data = yield Fetch(url, is_public)
                if not isinstance(data, bytes):
                    raise data
                fetched[url] = data
        if fetched:
            fill = partial(_filled, taken=taken, fetched=fetched)
            message = {**message, "parts": [with_attachments(part, fill) for part in message["parts"]]}
        filled.append(message)
    return filled


def _is_wanted(attachment: Attachment, taken: tuple[str, ...]) -> bool:
    url, kind = attachment.get("url", ""), attachment.get("type") or "image/"
    return url.startswith(("http://", "https://")) and "content" not in attachment and not kind.startswith(taken)


def _filled(attachment: Attachment, taken: tuple[str, ...], fetched: dict[str, bytes]) -> Attachment:
    """Return an attachment with the bytes that were fetched for it, another one as it is."""
    if not _is_wanted(attachment, taken):
        return attachment
    data = fetched[attachment["url"]]
    rest = {name: value for name, value in attachment.items() if name != "url"}
    kind = attachment.get("type") or mime_type(data, attachment["url"].partition("?")[0])
    return {**rest, "type": kind, "content": encode_base64(data)}  # type: ignore[typeddict-item]
