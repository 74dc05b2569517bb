"""OpenAI Chat Completions, the sound, images and sources of a reply.

Rules:
* Sound is a text part, its transcript, and an attachment. The first of the two carries the
  vendor's id, which is all that may be sent back. The type is found from the first bytes.
* An image is an attachment. `field` in its metadata is the field of the message that held it.
* A url citation is an annotation without metadata. Other annotations are kept whole.
* Places are code points. A range of 0 to 0 is not a place. Sources that a server lists beside
  the reply (Perplexity) annotate the whole text.
"""

from __future__ import annotations

import re

from ..json_fields import objects_of, string_or_empty
from ..media_types import bytes_of_base64, sound_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Record
    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter

_DATA_URI = re.compile(r"data:([^;,]*)[^,]*;base64,(.*)", re.DOTALL)
_CITATION_FIELDS = (("url", "url"), ("title", "title"), ("content", "cited_text"))


class Media:
    """Writes the sound, images and sources of one reply."""

    def __init__(self, writer: ReplyWriter) -> None:
        self._writer = writer
        self._audio: JsonObject = {}
        self._first_of_sound: Record | None = None

    def take_audio(self, audio: JsonObject) -> None:
        """Take a piece of sound, of its transcript, or its id."""
        writer = self._writer
        new = {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}
        self._audio.update(new)
        transcript = string_or_empty(audio.get("transcript"))
        if transcript:
            index = writer.index_of("text")
            self._first_of_sound = self._first_of_sound or {"type": "text", "chunk": "", "part_index": index}
            writer.add_chunk("text", transcript, index)
        if string_or_empty(audio.get("data")):
            self._take_sound(audio["data"])
        if new and self._first_of_sound is not None:
            writer.add(dict(self._first_of_sound), {"audio": dict(self._audio)})

    def _take_sound(self, data: str) -> None:
        writer = self._writer
        sound = bytes_of_base64(data)
        if not sound:
            writer.notice("dropped_sound", "the provider sent a piece of sound that is not base64")
            return
        if "sound" not in writer.indices:
            index = writer.index_of("sound")
            of = {"of": self._audio.get("id", "audio")} if self._first_of_sound is not None else None
            self._first_of_sound = self._first_of_sound or {"type": "attachment", "part_index": index}
            writer.add({"type": "attachment", "part_index": index, "attachment": {"type": sound_type(sound)}}, of)
        writer.add({"type": "attachment", "part_index": writer.indices["sound"], "chunk": data})

    def take_image(self, image: JsonObject, field: str) -> bool:
        """Take an image block that was in `field` of the message; return whether it has an image."""
        holder = image.get("image_url")
        url = string_or_empty(holder.get("url") if isinstance(holder, dict) else holder)
        if not url:
            return False
        match = _DATA_URI.fullmatch(url)
        attachment = {"type": match[1] or "image/png", "content": match[2]} if match else {"url": url}
        place = {"index": image["index"]} if "index" in image else {}
        record = {"type": "attachment", "part_index": self._writer.new_index(), "attachment": attachment}
        self._writer.add(record, {"field": field, **place})
        return True

    def take_annotation(self, item: JsonObject) -> None:
        """Take an annotation of the text."""
        kind = string_or_empty(item.get("type")) or "annotation"
        citation = item.get("url_citation")
        if not isinstance(citation, dict):
            self._annotate({"kind": kind, "provider_metadata": {self._writer.issuer: item}})
            return
        fields = {ours: citation[name] for name, ours in _CITATION_FIELDS if string_or_empty(citation.get(name))}
        start, end = citation.get("start_index"), citation.get("end_index")
        has_place = type(start) is int and type(end) is int and 0 <= start < end
        self._annotate({"kind": kind, **fields, **({"start": start, "end": end} if has_place else {})})

    def add_sources(self, details: JsonObject) -> None:
        """Add an annotation for each source that the server lists beside the reply."""
        if "text" not in self._writer.indices:
            return
        citations = details.get("citations")
        titles = {url: "" for url in (citations if isinstance(citations, list) else ()) if isinstance(url, str)}
        for result in objects_of(details.get("search_results")):
            if string_or_empty(result.get("url")):
                titles[result["url"]] = string_or_empty(result.get("title"))
        for url, title in titles.items():
            self._annotate({"kind": "url_citation", "url": url, **({"title": title} if title else {})})

    def _annotate(self, annotation: JsonObject) -> None:
        index = self._writer.index_of("text")
        self._writer.add({"type": "annotation", "part_index": index, "annotation": annotation})
