"""The text of a page on the web.

Rules:
* The charset is that of the byte order mark, else of the server, else of the page itself; a page of
  HTML without any is UTF-8, or Windows-1252 where it is not UTF-8.
* HTML becomes the text that a reader sees, by the package inscriptis, with all of the page. Without
  the package it stays HTML, and a line says so.
"""

from __future__ import annotations

import re

from ...media_type import decode_text, media_type, text_of_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...http.request import Fetched

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_HEAD = 4096
"""How many bytes of a page may tell its charset."""


def text_of_page(page: Fetched, url: str, *, is_raw: bool, tell: Callable[[str], None]) -> str:
    """Return the text of a page. is_raw: whether HTML stays as it is. tell: takes a line for the user.

    Raises InputError for a page that is not text.
    """
    kind = page.kind or media_type(page.data)
    text = _decode(page, url, is_html=kind in _HTML_TYPES)
    if is_raw or kind not in _HTML_TYPES:
        return text
    try:
        from inscriptis import get_text
    except ImportError:
        tell(f"{url}: HTML as it is (pip install 'llm-pipes[html]' makes it text; --raw says that it is meant)")
        return text
    return f"{get_text(text).strip()}\n"


def _decode(page: Fetched, url: str, *, is_html: bool) -> str:
    if page.data.startswith(_MARKS):
        return text_of_bytes(page.data, url)
    match = _META.search(page.data[:_HEAD]) if is_html and not page.charset else None
    charset = (page.charset or (match[1].decode() if match else "")).lower()
    if not is_html and (charset == "utf-8" or (b"\0" in page.data and not charset.startswith("utf"))):
        charset = ""  # servers tell text of what is not
    text = decode_text(page.data, charset) if charset else None
    if text is None and is_html and not _is_utf8(page.data):
        text = decode_text(page.data, "cp1252")
    return text_of_bytes(page.data, url) if text is None else text


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
