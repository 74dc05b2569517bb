"""A reply, printed while it comes.

Rules:
* The reply is what follows the last user message. Output is held back while a later user message
  could still turn it into an old reply: a message without events until the end of the stream or the
  next response, a complete response until the next record or a short silence.
* A response is shown from its events as they come; from its message if it had no events.
* A `reset` discards what is not printed yet; a newline ends what is.
"""

from __future__ import annotations

from ...records.conversation import Conversation
from ...records.fold import TEXT_KINDS
from ...records.jsonl import dumps
from ...terminal import CYAN, DIM, RED, YELLOW, paint, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...records.jsonl import Line
    from ...records.types import Record

STDOUT, STDERR = 1, 2
RESULT_LENGTH = 2000
"""Characters of a tool's result that a person sees."""
QUIET = 1.0
"""Seconds without a record after which a response that came at once counts as the reply."""


class View:
    """Takes a stream's records; `take` returns what may be printed of the reply by now.

    kinds: the types of chunks to show on stdout (text, reasoning, refusal); with `keep`
    the messages stay in `conversation` whole, else without their parts.
    """

    def __init__(self, kinds: tuple[str, ...] = ("text",), *, keep: bool = False) -> None:
        self.conversation = Conversation()
        self._keep = keep
        self.kinds = frozenset(kinds)
        self.printed = ""  # the last character that went to stdout
        self._pending: list[tuple[int, str]] = []
        self._text: list[str] = []  # stdout pieces not yet in _pending, in runs
        self._hold = ""  # "", "quiet" or "end": what the pending pieces wait for
        self._shown = False  # whether a chunk of this response was shown
        self._fast: str | None = None  # the kind whose bare chunks need no more than appending
        self._place = -1  # the part that _fast is of
        self._begun: set[int] = set()  # parts of which a chunk was shown
        self._muted: set[int] = set()  # parts that are commentary
        self._mark = 0  # how many of the pending pieces are older than this response
        self._out = False  # whether text of this response was printed
        self._break = False  # whether a newline goes before the next piece on stdout

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for a short silence to be printed."""
        return self._hold == "quiet" and bool(self._pending or self._text)

    def feed(self, lines: list[Line]) -> None:
        """Take the next records."""
        for record, raw in lines:
            kind = record["type"]
            if kind == self._fast and len(record) == 3 and record["part_index"] == self._place:
                self._text.append(record["chunk"])
            else:
                self._feed(record, kind, raw)

    def take(self, *, is_quiet: bool = False, is_end: bool = False) -> list[tuple[int, str]]:
        """Return the (descriptor, text) pieces to print now."""
        if not (is_end or not self._hold or (is_quiet and self._hold == "quiet")):
            return []
        self._settle()
        pieces, self._pending = self._pending, []
        self._mark, self._out = 0, self._shown
        for descriptor, text in pieces:
            if descriptor == STDOUT and text:
                self.printed = text[-1]
        return pieces

    def _settle(self) -> None:
        if self._text:
            self._pending.append((STDOUT, "".join(self._text)))
            self._text = []

    def _show(self, text: str, descriptor: int = STDOUT) -> None:
        if descriptor == STDOUT:
            if self._break and text:
                self._break = False
                self._settle()
                before = next((piece for fd, piece in reversed(self._pending) if fd == STDOUT and piece), self.printed)
                if before and not before.endswith("\n"):
                    text = "\n" + text
            self._text.append(text)
        else:
            self._settle()
            self._pending.append((descriptor, text))

    def _discard(self) -> None:
        self._pending, self._text = [], []

    def _feed(self, record: Record, kind: str, raw: bytes) -> None:
        self.conversation.add(record)
        if kind == "start":
            self._new_response()
            self._hold = ""
        self.show_line(record, raw)
        if "part_index" in record:
            self._hold = ""
            self._event(record, kind)
        elif kind == "message":
            self._fast = None
            self._message(record)
            if not self._keep:
                self.conversation.messages[-1] = {**record, "parts": []}  # type: ignore[call-overload]
        elif kind == "reset":
            self._reset()

    def _new_response(self) -> None:
        self._settle()
        self._mark = len(self._pending)
        self._shown = self._out = False
        self._fast = None
        self._begun, self._muted = set(), set()
        self._break = True

    def _event(self, record: Record, kind: str) -> None:
        if kind in TEXT_KINDS and record.get("phase") == "commentary":
            self._muted.add(record["part_index"])
            self._fast = None
        if kind == "part":
            self._whole_part(record)
        elif kind in self.kinds and record["part_index"] not in self._muted:
            self._shown = True
            self._show(record["chunk"])
            self._place = record["part_index"]
            self._begun.add(self._place)
            self._fast = kind if not self._muted and not self._break else None
        else:
            self.show_other(record, kind)

    def _whole_part(self, record: Record) -> None:
        """Show a part that came whole, unless chunks of it are shown already."""
        part, place = record["part"], record["part_index"]
        kind = part["type"]
        if kind in TEXT_KINDS and place not in self._begun:
            phase = {"phase": part["phase"]} if "phase" in part else {}
            self._event({"type": kind, "chunk": part["text"], "part_index": place, **phase}, kind)
        else:
            self.show_other(record, "part")

    def _message(self, message: Record) -> None:
        if message["role"] == "user":
            self._discard()
            self._new_response()
            self._hold = ""
            return
        if message["role"] == "system":
            return
        if self._shown:
            self._hold = "" if self._out else "quiet"
        else:
            before = self._hold
            self._new_response()
            for place, part in enumerate(message["parts"]):
                self._whole_part({"type": "part", "part_index": place, "part": part})
            self._hold = "end" if self._pending or self._text else before
        self._new_response()

    def _reset(self) -> None:
        was_printed = self._out
        self._text = []
        del self._pending[self._mark :]
        if was_printed and self.printed and not self.printed.endswith("\n"):
            self._pending.append((STDOUT, "\n"))
        if was_printed:
            self.show_reset()
        self._new_response()

    def show_line(self, record: Record, raw: bytes) -> None:
        """Called with every record; shows nothing here."""

    def show_other(self, record: Record, kind: str) -> None:
        """Called with a part event of another kind than `kinds`; shows nothing here."""

    def show_reset(self) -> None:
        """Called when printed text becomes void."""
        self._show("the reply starts again: what was printed is void\n", STDERR)


class EventLines(View):
    """The reply's events and messages, as the lines they came in."""

    def __init__(self, *, keep: bool = False) -> None:
        super().__init__((), keep=keep)

    def show_line(self, record: Record, raw: bytes) -> None:
        """Show what whole records say."""
        kind = record["type"]
        if "part_index" in record or kind in ("start", "end", "reset", "notice", "error"):
            self._show(raw.decode() + "\n")
            self._shown = True

    def show_reset(self) -> None:
        """The reset is a line like the others."""


class PeopleView(View):
    """The reply for a person at a terminal: the text on stdout; reasoning, tool calls, results and
    notices on stderr, in colour if it is wanted, with control characters made visible."""

    def __init__(self, *, colour: bool, reasoning: bool = True, keep: bool = False) -> None:
        super().__init__(("text", "refusal"), keep=keep)
        self._colour = colour
        self._reasoning = reasoning
        self._shown_results: set[int] = set()  # part indexes of this response
        self._bracket: str | None = None  # the role of the response that is open
        self._line_open = False  # whether the cursor is not at the start of a line

    def _aside(self, text: str, colour: str) -> None:
        """Show a line of its own on stderr."""
        self._show(paint(visible(text), colour, self._colour) + "\n", STDERR)

    def show_line(self, record: Record, raw: bytes) -> None:
        """Show what whole records say."""
        kind = record["type"]
        if kind == "start":
            self._shown_results, self._bracket = set(), record.get("role", "assistant")
        elif kind == "notice":
            self._aside(record["message"], YELLOW)
        elif kind == "message" and record["role"] in ("assistant", "tool"):
            if self._bracket is None:
                self._shown_results = set()
            for place, part in enumerate(record["parts"]):
                self._show_tool(part, place)
            self._bracket = None

    def _show_tool(self, part: Record, place: int) -> None:
        """Show a call, or a result that no event has shown yet."""
        if part["type"] == "tool_call":
            self._aside(f"→ {part['name']}({dumps(part['arguments']).decode()})", CYAN)
        elif part["type"] == "tool_result" and place not in self._shown_results:
            self._shown_results.add(place)
            self._show_result(part.get("exception"), part["output"], part.get("attachments", ()))

    def _show_result(self, failed: str | None, output: str, attachments: Sequence[Record] = ()) -> None:
        kinds = [attachment.get("type", "a file") for attachment in attachments]
        text = failed or "\n".join([output.rstrip("\n")] * bool(output) + kinds)
        if len(text) > RESULT_LENGTH:
            text = f"{text[:RESULT_LENGTH]}… ({len(text)} characters)"
        self._aside(f"← {text}", RED if failed else CYAN)

    def show_other(self, record: Record, kind: str) -> None:
        """Show reasoning, dim, and the result of a tool as soon as it comes."""
        if kind == "reasoning" and self._reasoning and record["chunk"]:
            self._show(paint(visible(record["chunk"]), DIM, self._colour), STDERR)
        elif self._bracket == "tool" and kind == "tool_result" and (record["chunk"] or "exception" in record):
            part = {"type": kind, "output": record["chunk"], "exception": record.get("exception")}
            self._show_tool(part, record["part_index"])
        elif self._bracket == "tool" and kind == "part":
            self._show_tool(record["part"], record["part_index"])

    def take(self, *, is_quiet: bool = False, is_end: bool = False) -> list[tuple[int, str]]:
        """As View, with a newline wherever text and other output would share a line."""
        spaced: list[tuple[int, str]] = []
        for descriptor, text in super().take(is_quiet=is_quiet, is_end=is_end):
            if text and self._line_open and descriptor != self._last:
                spaced.append((STDERR, "\n"))
            if text:
                self._last = descriptor
                self._line_open = not text.endswith("\n")
            spaced.append((descriptor, text))
        return spaced

    _last = STDOUT
