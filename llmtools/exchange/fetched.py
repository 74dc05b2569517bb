"""Attachments by URL: the vendor fetches some types itself, llmtools fetches the others. No I/O.

An SVG, which no vendor takes as an image, is always fetched: it is sent as text.

Rule: a stream may come from another person. For a model on another machine, a URL is fetched only
from a public address, never from this machine or from a private network: a stream must not read
them for its author.
"""

from __future__ import annotations

from functools import partial

from ..attachment import type_of
from ..http.request import Fetch, Fetched
from ..records.attachments import attachments_in, encode_base64, map_attachments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any

    from ..protocols.spec import Spec
    from ..records.types import Attachment, Message


def with_fetched(
    messages: list[Message], spec: Spec, quirks: Iterable[str], *, is_public: bool
) -> Generator[Fetch, Any, list[Message]]:
    """Yield a `Fetch` for each attachment that has to be fetched; return the messages with the bytes.

    Raises the LlmToolsError that is sent back for a `Fetch`.
    """
    vendor_types = spec.url_begins(quirks)
    fetched: dict[str, Fetched] = {}
    filled = []
    for message in messages:
        for attachment in attachments_in(message):
            url = attachment.get("url", "")
            if _must_fetch(attachment, vendor_types) and url not in fetched:
                page = yield Fetch(url, is_public)
                if not isinstance(page, Fetched):
                    raise page
                fetched[url] = page
        if fetched:
            fill = partial(_with_bytes, vendor_types=vendor_types, fetched=fetched)
            message = map_attachments(message, fill)
        filled.append(message)
    return filled


def _must_fetch(attachment: Attachment, vendor_types: tuple[str, ...]) -> bool:
    url, kind = attachment.get("url", ""), attachment.get("type") or "image/"
    is_vendors = kind.startswith(vendor_types) and kind != "image/svg+xml"
    return url.startswith(("http://", "https://")) and "content" not in attachment and not is_vendors


def _with_bytes(attachment: Attachment, vendor_types: tuple[str, ...], fetched: dict[str, Fetched]) -> Attachment:
    """Return an attachment with its fetched bytes; one that is not fetched stays as it is."""
    if not _must_fetch(attachment, vendor_types):
        return attachment
    page = fetched[attachment["url"]]
    data = page.text_data()
    rest = {name: value for name, value in attachment.items() if name != "url"}
    kind = type_of(data, attachment["url"].partition("?")[0], attachment.get("type"), page.kind)
    return {**rest, "type": kind, "content": encode_base64(data)}  # type: ignore[typeddict-item]
