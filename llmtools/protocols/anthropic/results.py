"""Anthropic Messages, sources: the results of the server's own tools, and citations.

Rules:
* The block of a result goes back to the vendor, so it is kept whole. Its text is only for
  people to read; no block is built from it.
* The exception of a failed result is the vendor's error code.
"""

from __future__ import annotations

from ..json_fields import list_of, objects_of, string_or_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject

_DOCUMENT_LOCATIONS = ("char_location", "page_location", "content_block_location")
_READABLE_FIELDS = ("text", "stdout", "stderr", "title", "url", "tool_name", "file_id")


def readable_content(content: Any) -> str:
    """Return the text that a person would read in the content of a result."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join([text for item in content if (text := readable_content(item))])
    return _readable_object(content) if isinstance(content, dict) else ""


def _readable_object(content: JsonObject) -> str:
    lines = [text for name in _READABLE_FIELDS if (text := string_or_empty(content.get(name)).rstrip("\n"))]
    lines += [line for line in list_of(content.get("lines")) if isinstance(line, str)]
    if isinstance(source := content.get("source"), dict):
        lines.append(string_or_empty(source.get("data" if source.get("type") == "text" else "url")))
        lines.append(readable_content(source.get("content")))
    lines.append(readable_content(content.get("content")))
    lines.append(readable_content(objects_of(content.get("tool_references"))))
    return "\n".join([line for line in lines if line])


def exception_of(block: JsonObject) -> str:
    """Return the error of a result block, "" if it succeeded."""
    content = block.get("content")
    inner = content if isinstance(content, dict) else {}
    if string_or_empty(inner.get("type")).endswith("_error") or inner.get("error_code"):
        words = [string_or_empty(inner.get(name)) for name in ("error_code", "error_message")]
        return ": ".join([word for word in words if word]) or "error"
    return (readable_content(content) or "error") if block.get("is_error") is True else ""


def citation_fields(kind: str) -> dict[str, str]:
    """Return the names of an annotation's fields -> the vendor's names in a citation of that type."""
    title = "document_title" if kind in _DOCUMENT_LOCATIONS else "title"
    return {"url": "url", "title": title, "cited_text": "cited_text"}
