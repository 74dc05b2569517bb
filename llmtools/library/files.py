"""Attachments: a file for a message, or one that a model made."""

from __future__ import annotations

from binascii import b2a_base64
from os import fspath
from typing import Any

from ..attachment import data_of, from_bytes, from_file
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike


class Attachment(Value):
    """A file for a message, or one that the model made: `type` (MIME), and bytes, a path or a URL.

    Give one of `path`, `url` and `content` (bytes); each is an attribute, None for the others. A file
    is read at once, so that the conversation is whole on another machine. The type is found from the
    bytes, unless `type` (or `mimetype`) gives it. Raises NoInputError for a file that cannot be read.

        llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    """

    __slots__ = ("_path",)

    type: str | None = None
    name: str | None = None
    url: str | None = None

    def __init__(
        self,
        type: str | None = None,
        path: str | PathLike[str] | None = None,
        url: str | None = None,
        content: bytes | None = None,
        *,
        mimetype: str | None = None,
    ) -> None:
        fields: Any = {}
        mime = type or mimetype
        if path is not None:
            fields = from_file(fspath(path), mime=mime)
            object.__setattr__(self, "_path", fspath(path))
        elif content is not None:
            fields = from_bytes(content, mime=mime)
        elif url is not None:
            fields = {"url": url}
        super().__init__({**fields, **({"type": mime} if mime else {})})

    @property
    def path(self) -> str | None:
        """The path that it was made from, or refers to. A path is not part of what is sent or stored."""
        own: str | None = getattr(self, "_path", None)
        return own or self.get("path")

    @property
    def content(self) -> bytes | None:
        """The bytes, if it was made from bytes. `content_bytes` has those of every kind."""
        return None if self.path else data_of({"content": self["content"]}) if "content" in self else None

    def id(self) -> str:
        """Return the sha256 of its bytes, or of `{"url": URL}`, in hexadecimal.

        llmtools.Attachment(url="https://a.example/b.png").id()[:6]  # "e89309"
        """
        import json
        from hashlib import sha256

        data = self._own_bytes()
        return sha256(json.dumps({"url": self.get("url")}).encode() if data is None else data).hexdigest()

    def resolve_type(self) -> str | None:
        """Return the MIME type; the server is asked for that of a URL without one. None where it is not known.

        Raises UnavailableError.
        """
        if self.get("type") or not self.get("url"):
            return self.get("type")
        from ..attachment import type_of

        page = self._fetch()
        return type_of(page.data, self["url"], None, page.kind)

    def content_bytes(self) -> bytes | None:
        """Return the bytes; a URL is downloaded. None for a file of the vendor's.

        Raises InputError for content that is not base64, UnavailableError for a failed download.
        """
        data = self._own_bytes()
        return self._fetch().data if data is None and self.get("url") else data

    def base64_content(self) -> str | None:
        """Return the bytes as base64, None as `content_bytes` does."""
        data = self.content_bytes()
        return None if data is None else b2a_base64(data, newline=False).decode()

    def _own_bytes(self) -> bytes | None:
        return data_of(self)  # type: ignore[arg-type]

    def _fetch(self) -> Any:
        from ..http.transport import fetch

        return fetch(self["url"])

    def __repr__(self) -> str:
        places = {"type": self.get("type"), "path": self.path, "url": self.get("url")}
        shown = [f"{name}={value!r}" for name, value in places.items() if value]
        base64 = self.get("content", "")
        size = [f"content={len(base64) * 3 // 4 - base64.count('=')} bytes"] if base64 else []
        return f"<Attachment {' '.join([*shown, *size])}>"
