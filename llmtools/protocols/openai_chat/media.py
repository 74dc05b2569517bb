"""OpenAI Chat Completions, what a reply has beside text and calls: sound, images, sources.

Rules:
* Sound is a text part, what it says, and an attachment; the first of the two carries the
  vendor's id, which is all that may be sent back. Its type is found from its first bytes.
* An image is an attachment; `field` says where in the message it stood.
* A url citation is an annotation, and nothing more is kept of it; others are kept whole.
* Places are code points; a place of 0 to 0 is none. Sources that a server lists beside the
  reply (Perplexity) annotate the whole text.

Facts: wire-protocols.md section 1.
"""

from __future__ import annotations

import re

from ..reply_writer import objects_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record
    from ..reply_writer import Draft

_DATA_URI = re.compile(r"data:([^;,]*)[^,]*;base64,(.*)", re.DOTALL)
_SOUNDS = ((b"RIFF", "audio/wav"), (b"ID3", "audio/mpeg"), (b"\xff", "audio/mpeg"), (b"fLaC", "audio/flac"))
_CITED = (("url", "url"), ("title", "title"), ("content", "cited_text"))


class Media:
    """Writes the sound, images and sources of one reply into its draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._audio: dict[str, Any] = {}
        self._first: Record | None = None

    def take_audio(self, audio: dict[str, Any]) -> None:
        """Take a piece of sound, or of what it says, or its id."""
        draft = self._draft
        new = {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}
        self._audio.update(new)
        transcript = text_in(audio.get("transcript"))
        if transcript:
            index = draft.place("text")
            self._first = self._first or {"type": "text", "chunk": "", "part_index": index}
            draft.say("text", transcript, index)
        if text_in(audio.get("data")):
            self._take_sound(audio["data"])
        if new and self._first is not None:
            draft.add(dict(self._first), {"audio": dict(self._audio)})

    def _take_sound(self, data: str) -> None:
        from binascii import Error, a2b_base64

        draft = self._draft
        try:
            sound = a2b_base64(data)
        except Error:
            draft.notice("dropped_sound", "the provider sent a piece of sound that is no base64")
            return
        if "sound" not in draft.places:
            index = draft.place("sound")
            of = {"of": self._audio.get("id", "audio")} if self._first is not None else None
            self._first = self._first or {"type": "attachment", "part_index": index}
            draft.add({"type": "attachment", "part_index": index, "attachment": {"type": _sound_type(sound)}}, of)
        draft.add({"type": "attachment", "part_index": draft.places["sound"], "chunk": data})

    def take_image(self, image: dict[str, Any], field: str) -> None:
        """Take an image block that stood in `field` of the message."""
        said = image.get("image_url")
        url = text_in(said.get("url") if isinstance(said, dict) else said)
        if not url:
            return
        match = _DATA_URI.fullmatch(url)
        attachment = {"type": match[1] or "image/png", "content": match[2]} if match else {"url": url}
        place = {"index": image["index"]} if "index" in image else {}
        record = {"type": "attachment", "part_index": self._draft.next(), "attachment": attachment}
        self._draft.add(record, {"field": field, **place})

    def take_annotation(self, item: dict[str, Any]) -> None:
        """Take an annotation of the text."""
        kind = text_in(item.get("type")) or "annotation"
        said = item.get("url_citation")
        if not isinstance(said, dict):
            self._annotate({"kind": kind, "provider_metadata": {self._draft.issuer: item}})
            return
        cited = {ours: said[name] for name, ours in _CITED if text_in(said.get(name))}
        start, end = said.get("start_index"), said.get("end_index")
        is_placed = type(start) is int and type(end) is int and 0 <= start < end
        self._annotate({"kind": kind, **cited, **({"start": start, "end": end} if is_placed else {})})

    def add_sources(self, details: dict[str, Any]) -> None:
        """Make annotations of the sources that stand beside the reply."""
        if "text" not in self._draft.places:
            return
        citations = details.get("citations")
        titles = {url: "" for url in (citations if isinstance(citations, list) else ()) if isinstance(url, str)}
        for result in objects_in(details.get("search_results")):
            if text_in(result.get("url")):
                titles[result["url"]] = text_in(result.get("title"))
        for url, title in titles.items():
            self._annotate({"kind": "url_citation", "url": url, **({"title": title} if title else {})})

    def _annotate(self, annotation: dict[str, Any]) -> None:
        record = {"type": "annotation", "part_index": self._draft.place("text"), "annotation": annotation}
        self._draft.add(record)


def _sound_type(data: bytes) -> str:
    return next((kind for magic, kind in _SOUNDS if data.startswith(magic)), "audio/pcm")
