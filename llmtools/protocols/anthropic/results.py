"""Anthropic Messages, the sources: what the server's own tools give back, and citations.

Rules:
* The block of a result itself goes back to the vendor, so it is kept whole; the text is for reading
  only and nothing is made of it again.
* A result that is an error has its code as the exception.

Facts: wire-protocols.md section 3, the `*_tool_result` blocks.
"""

from __future__ import annotations

from ..reply_writer import objects_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Wire = dict[str, Any]

_OF_DOCUMENTS = ("char_location", "page_location", "content_block_location")
_SAID = ("text", "stdout", "stderr", "title", "url", "tool_name", "file_id")


def readable(content: Any) -> str:
    """Return what a person would read of the content of a result."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join([text for item in content if (text := readable(item))])
    return _readable_object(content) if isinstance(content, dict) else ""


def _readable_object(content: Wire) -> str:
    lines = [text for name in _SAID if (text := text_in(content.get(name)).rstrip("\n"))]
    lines += [line for line in (content.get("lines") or ()) if isinstance(line, str)]
    if isinstance(source := content.get("source"), dict):
        lines.append(text_in(source.get("data")) if source.get("type") == "text" else text_in(source.get("url")))
        lines.append(readable(source.get("content")))
    lines.append(readable(content.get("content")))
    lines.append(readable(objects_in(content.get("tool_references"))))
    return "\n".join([line for line in lines if line])


def exception_of(block: Wire) -> str:
    """Return what went wrong in a result block, "" where nothing did."""
    content = block.get("content")
    inner = content if isinstance(content, dict) else {}
    if text_in(inner.get("type")).endswith("_error") or inner.get("error_code"):
        words = [text_in(inner.get(name)) for name in ("error_code", "error_message")]
        return ": ".join([word for word in words if word]) or "error"
    return (readable(content) or "error") if block.get("is_error") is True else ""


def cited_fields(kind: str) -> dict[str, str]:
    """Return our fields of an annotation and the vendor's, for a kind of citation."""
    title = "document_title" if kind in _OF_DOCUMENTS else "title"
    return {"url": "url", "title": title, "cited_text": "cited_text"}
