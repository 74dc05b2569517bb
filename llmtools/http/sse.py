"""Bytes to server-sent events, and to NDJSON lines; no I/O.

Rules:
* Lines end at CRLF, LF or CR and nowhere else. The bytes may be cut inside a line or a character.
* A field loses one space after its colon. Several `data` lines are joined by a newline. Comments
  are counted. `id` and `retry` are ignored.
* The end of the stream also ends an event, because some servers write no blank line behind the
  last one. Whoever reads its data finds out whether that is whole.
* A line that begins a JSON object or array begins a body: a server sends one in the place of
  events (an error in mid-stream, a reply to a request without `stream`). It becomes an event
  named `BODY` once it has ended.
* A field `error`, which llama.cpp sends, becomes an event named `error` with its value as data.
* Other lines that are not fields are skipped; `head` keeps the first of them for a message.
"""

from __future__ import annotations

from ..errors import ProtocolError

SseEvent = tuple[str, bytes]
"""The name and the data of an event."""

UNNAMED = "message"
"""The name of an event that is sent without one."""

BODY = ""
"""The name of the event that holds a body. No other event has it."""

LIMIT = 64 << 20
"""The most bytes of one event, body or line."""

_BOM = b"\xef\xbb\xbf"
_HEAD = 400
_DATA = b"data: "
_FIELD_NAMES = (b"data", b"event", b"id", b"retry")


class SseDecoder:
    """Turns bytes, cut anywhere, into events.

    comments: how many comments have come. head: the beginning of the lines that are not fields.
    head_place: how many events came before the first of these lines, None without one.
    Both methods raise ProtocolError for an event of more than `limit` bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.comments = 0
        self.head = b""
        self.head_place: int | None = None
        self._event_count = 0
        self._limit = limit
        self._tail = bytearray()
        self._body: bytearray | None = None
        self._is_begun = False
        self._was_cr = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes; return the events that they complete."""
        if not data:
            return []
        if self._was_cr or b"\r" in data:
            data = self._with_lf(data)
        tail = self._tail
        at_seam = tail.endswith(b"\n") and data.startswith(b"\n")
        end = data.rfind(b"\n\n")
        if end < 0 and not at_seam:
            self._keep(data)
            return []
        if end < 0:
            text, rest = bytes(tail), data[1:]
        else:
            text, rest = data[: end + 1], data[end + 2 :]
            text = bytes(tail) + text if tail else text
        self._tail = bytearray()
        self._keep(rest)
        return self._events(text)

    def eof(self) -> list[SseEvent]:
        """Take the end of the bytes; return the events that it completes."""
        rest, self._tail = bytes(self._tail), bytearray()
        events = self._events(rest)
        self._end_body(events)
        return events

    def _with_lf(self, data: bytes) -> bytes:
        """Return `data` with LF at the end of every line. A CR that is the last byte ends its line;
        an LF at the beginning of the next data then belongs to it."""
        if self._was_cr and data.startswith(b"\n"):
            data = data[1:]
            if not data:
                self._was_cr = False
                return b""
        self._was_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, data: bytes) -> None:
        self._tail += data
        self._check(len(self._tail))

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ProtocolError(f"one event of the stream has more than {self._limit >> 20} MiB")

    def _events(self, text: bytes) -> list[SseEvent]:
        """Return the events of whole blocks. `text` ends with the newline of its last line."""
        if not self._is_begun:
            text = self._without_bom(text)
        if self._body is None and text.startswith(_DATA) and len(text) <= self._limit:
            # The common case, without a step for each event: each block is one line `data: …`.
            payloads = text[6:-1].split(b"\n\ndata: ")
            if text.count(b"\n") == 2 * len(payloads) - 1 and text.endswith(b"\n"):
                self._event_count += len(payloads)
                return [(UNNAMED, payload) for payload in payloads]
        events: list[SseEvent] = []
        for block in text.split(b"\n\n"):
            self._check(len(block))
            self._block(block, events)
        self._event_count += len(events)
        return events

    def _without_bom(self, text: bytes) -> bytes:
        self._is_begun = True
        return text[3:] if text.startswith(_BOM) else text

    def _block(self, block: bytes, events: list[SseEvent]) -> None:
        name, data = UNNAMED, []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                self._end_body(events)
                data.append(value[1:] if value.startswith(b" ") else value)
            elif field.lower() == b"error" and value.strip():
                self._end_body(events)
                name = "error"
                data.append(value.strip())
            elif field == b"event":
                self._end_body(events)
                name = value.strip(b" ").decode("utf-8", "replace") or UNNAMED
            elif field == b"" and line:
                self.comments += 1
            elif line and field not in (b"id", b"retry"):
                self._other(line, len(events))
        if data:
            events.append((name, data[0] if len(data) == 1 else b"\n".join(data)))

    def _other(self, line: bytes, before: int) -> None:
        """Take a line that is not a field: of a body, or garbage. A field name that was cut off is not garbage."""
        if self._body is None and line.lstrip().startswith((b"{", b"[")):
            self._body = bytearray()
        if self._body is not None:
            self._body += line + b"\n"
            self._check(len(self._body))
        elif len(self.head) < _HEAD and not any(name.startswith(line) for name in _FIELD_NAMES):
            self.head += line[:_HEAD] + b"\n"
            if self.head_place is None:
                self.head_place = self._event_count + before

    def _end_body(self, events: list[SseEvent]) -> None:
        if self._body is not None:
            events.append((BODY, bytes(self._body)))
            self._body = None


class LineDecoder:
    """Turns bytes, cut anywhere, into the lines of NDJSON, without their newlines and without blank lines.

    Both methods raise ProtocolError for a line of more than `limit` bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the lines that they complete."""
        first, *others = data.split(b"\n")
        self._tail += first
        lines: list[bytes] = []
        for other in others:
            self._end_line(lines)
            self._tail = bytearray(other)
        if len(self._tail) > self._limit:
            self._refuse()
        return lines

    def eof(self) -> list[bytes]:
        """Take the end of the bytes; return the last line if it had no newline."""
        lines: list[bytes] = []
        self._end_line(lines)
        self._tail = bytearray()
        return lines

    def _end_line(self, lines: list[bytes]) -> None:
        if len(self._tail) > self._limit:
            self._refuse()
        if self._tail.strip():
            lines.append(bytes(self._tail))

    def _refuse(self) -> None:
        raise ProtocolError(f"one line of the stream has more than {self._limit >> 20} MiB")
