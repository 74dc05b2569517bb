"""The run of one llm-send: what it reads, sends and writes.

Rule: history is passed on at once, byte for byte. The events of an earlier response are held back until
its message: a complete message replaces them, a failed stream is passed on whole.
"""

from __future__ import annotations

import time
from signal import SIGINT

from ...errors import CancelledError, InputError, LlmToolsError, NoKeyError, OutputError, TimedOutError, UsageError
from ...exchange.ask import Asker, RecordAnswer, starts_with, target_of
from ...protocols.request import is_built_in
from ...records.build import build_message
from ...records.conversation import Conversation
from ...records.jsonl import dumps
from ...records.state import HISTORY
from ..process import StreamFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...exchange.ask import AskOptions, Question
    from ...exchange.exchange import Exchange
    from ...http.endpoint import Secret
    from ...log.journal import Journal, JournalEntry
    from ...protocols.request import Target
    from ...records.jsonl import Line
    from ...records.types import Message, Record
    from ..process import Process
    from .save import SaveFile

WITHOUT_EVENTS = HISTORY | {"error", "notice"}
_DROPPED = frozenset(("event", "start", "reset", "end"))


class Relay:
    """Takes the records of the stream and returns the lines to pass on.

    With `instructions`, a system message of that text becomes the stream's first message, unless the
    stream begins with it. `keep` gets each line of history, in order.
    """

    def __init__(self, instructions: str | None = None, keep: Callable[[bytes], None] | None = None) -> None:
        self.conversation = Conversation()
        self._keep = keep or (lambda line: None)
        self._instructions = instructions
        self._held: list[tuple[str, bytes]] = []

    def feed(self, record: Record, raw: bytes) -> list[bytes]:
        """Take the next record; return the lines to pass on now."""
        kind = record["type"]
        lines = self._instruct(record) if kind == "message" else []
        self.conversation.add(record)
        if kind in HISTORY:
            self._keep(raw)
        self._held.append(("event" if "part_index" in record else kind, raw))
        return lines if self.conversation.is_failing else lines + self.release(events=False)

    def _instruct(self, message: Record | None) -> list[bytes]:
        """Return the line of the system message, if it is still to be written."""
        if self._instructions is None:
            return []
        instructions = build_message("system", self._instructions)
        is_there = message is not None and starts_with([message], self._instructions)  # type: ignore[list-item]
        self._instructions = None
        if is_there:
            return []
        self.conversation.add(instructions)  # type: ignore[arg-type]
        line = dumps(instructions)
        self._keep(line)
        return [line]

    def eof(self) -> list[bytes]:
        """Return the line of the system message of a stream without messages."""
        if self.conversation.conversations or self.conversation.is_failing:
            return []
        return self._instruct(None)

    def release(self, *, events: bool) -> list[bytes]:
        """Return the lines that were held back, with or without their events."""
        held, self._held = self._held, []
        return [raw for kind, raw in held if events or kind not in _DROPPED]


class Sender:
    """Reads a stream and answers it. A failure sets the status of the process.

    log: True or False where an option says it, None where the configuration does. is_detached: whether
    a reply that the server writes in the background goes on after SIGINT.
    """

    def __init__(
        self,
        process: Process,
        options: AskOptions,
        save: SaveFile | None = None,
        *,
        log: bool | None = None,
        is_dry_run: bool = False,
        has_events: bool = True,
        is_detached: bool = False,
    ) -> None:
        self.process = process
        self._asker = Asker(options, self._resolve)
        self._relay = Relay(options.system, self._save_line)
        self._save = save
        self._log = log
        self._is_dry_run = is_dry_run
        self._has_events = has_events
        self._is_detached = is_detached
        self._tools: list[tuple[int, Record]] = []
        self._journal: Journal | None = None
        self._written_notices: set[str] = set()
        self._until: float | None = None
        self._cancelled: CancelledError | TimedOutError = CancelledError("the reader left")

    # Input

    def read(self, wait: float) -> None:
        """Pass the stream on; answer each conversation record as it comes."""
        try:
            for lines in self.process.batches(wait):
                self._take(lines)
        except InputError:  # the lines before the wrong one go out first
            self._pass_on(self._relay.release(events=True))
            raise
        self._pass_on(self._relay.eof())

    def _take(self, lines: list[Line]) -> None:
        out: list[bytes] = []
        for record, raw in lines:
            if record["type"] == "conversation":
                self._pass_on(out)
                out, raw = [], dumps(self._answer_conversation(record))
            elif record["type"] == "tool":
                self._tools.append((len(self._relay.conversation.messages), record))
            out += self._relay.feed(record, raw)
        self._pass_on(out)

    def _pass_on(self, lines: list[bytes]) -> None:
        if not self._is_dry_run:
            self.process.write_lines(lines)

    def _save_line(self, line: bytes) -> None:
        if self._save is not None:
            self._save.write(line)

    # The model

    def _resolve(self, model: str, key: Secret | None) -> Target:
        """Look a model up. A signal may interrupt it: finding a key can take long."""
        if key is not None and (model != self._asker.options.model or is_built_in(model)):
            raise UsageError("a key option goes with --base-url, or with a provider's model that -m names")
        try:
            with self.process.interruptible():
                return self._target(model, key)
        except CancelledError:
            self.process.check_stdout()
            raise

    def _target(self, model: str, key: Secret | None) -> Target:
        try:
            return target_of(model, key)
        except NoKeyError as error:
            if not self._is_dry_run:
                raise
            if not self.process.quiet:
                self.process.say(error.message)
            from ...http.endpoint import Secret

            return target_of(model, Secret("none"))  # --dry-run masks it

    # The stream

    def answer(self) -> None:
        """Answer the stream, or pass on that it has failed."""
        conversation, relay = self._relay.conversation, self._relay
        if conversation.conversations and not conversation.messages:
            return
        failure = conversation.failure
        if failure is not None and not self._asker.options.anyway:
            self._pass_on(relay.release(events=True))
            raise StreamFailure(failure)
        self._pass_on(relay.release(events=False))
        if self.process.signal is not None:
            raise self.process.cancellation()
        question = self._asker.question(conversation)
        if self._is_dry_run:
            return self._show(question)
        self._emit(question.notices)
        self.process.check_stdout()
        for tool in question.tools:
            self._pass_on([dumps(tool)])
            self._save_line(dumps(tool))
            self._tools.append((len(conversation.messages), tool))
        entry = self._entry(question, conversation.messages, self._tools)
        self._finish(self._write_reply(question.exchange(*entry)))

    def _entry(
        self,
        question: Question,
        messages: list[Message],
        tools: list[tuple[int, Record]],
        record: Record | None = None,
    ) -> tuple[JournalEntry, ...]:
        """Return where the conversation is stored: one entry of the log, or none."""
        if not self._is_logged(question.target):
            return ()
        from ...log.journal import Journal

        self._journal = self._journal or Journal(self.process.say)
        return (self._journal.entry(messages, tools, record),)

    def _is_logged(self, target: Target) -> bool:
        if self._log is not None or self._asker.options.endpoint is not None:
            return bool(self._log)
        if target.endpoint is None:
            return False
        from ...providers.config import read_config

        return read_config().log

    def _show(self, question: Question) -> None:
        request, notices = question.exchange().dry_run()
        self._say_once([*question.notices, *notices])
        self.process.write_lines([request])

    def _say_once(self, notices: list[Record]) -> None:
        """Write notices that no record holds to stderr, each once, however many conversations it is about."""
        new = dict.fromkeys(record["message"] for record in notices if record["message"] not in self._written_notices)
        self._written_notices.update(new)
        for message in new if not self.process.quiet else ():
            self.process.say(message)

    def _write_reply(self, exchange: Exchange) -> Exchange:
        """Write the records of the reply; save its messages, however the run ends."""
        try:
            for records in self._batches(exchange):
                self._emit(records)
        finally:
            exchange.cancel(self._cancelled)
            for message in exchange.messages:
                self._save_line(dumps(message))
        return exchange

    def _batches(self, exchange: Exchange) -> Iterator[list[Record]]:
        """Yield the batches of an exchange. A signal, or the end of --timeout, ends the wait for the
        next one, and the exchange; its last records still come."""
        limit = self._asker.options.limits.total
        until = time.monotonic() + limit if limit is not None else None
        batches = exchange.batches(self.process.sleep)
        is_over = False
        try:
            while not is_over:
                with self.process.interruptible(until):
                    records = next(batches, None)
                is_over = records is None
                if records is not None:
                    yield records
        except (CancelledError, TimedOutError) as error:
            self._cancelled = error
        finally:
            batches.close()
            self._leave(exchange, is_over=is_over)
        yield exchange.cancel(self._cancelled)

    def _leave(self, exchange: Exchange, *, is_over: bool) -> None:
        """Stop a reply that the server goes on with, if nobody wants it; else report how to get it.

        is_over: whether the exchange ended by itself.
        """
        reply_id = exchange.background_id
        if not reply_id:
            return
        is_unwanted = not is_over and isinstance(self._cancelled, CancelledError)
        if is_unwanted and self.process.signal in (None, SIGINT) and not self._is_detached:
            failure = exchange.stop()
            if failure is None:
                return
            self.process.say(f"the reply {reply_id} could not be stopped: {failure.message}")
        self.process.say(f"{exchange.request.model} goes on with the reply: llm-send --await {reply_id} gets it")

    def _emit(self, records: list[Record]) -> None:
        if not self._has_events:
            records = [record for record in records if record["type"] in WITHOUT_EVENTS]
        if self.process.verbose:
            for record in records:
                if record["type"] == "notice":
                    self.process.say(record["message"])
        self.process.write_records(records)

    def _finish(self, exchange: Exchange) -> None:
        if exchange.failure is not None and self.process.signal is None:
            self.process.say(exchange.failure.full_message())
            self.process.status = exchange.failure.exit_status

    # Conversation records

    def _answer_conversation(self, record: Record) -> Record:
        """Return a conversation record with its reply, or with the error that came instead."""
        answer = RecordAnswer(self._asker, record)
        if answer.failure is not None:
            self.process.status = self.process.status or answer.failure["exit_status"]
            return answer.record
        try:
            self._answer_record(answer)
        except OutputError:
            raise
        except LlmToolsError as error:
            answer.add_error(error)
            self._report(answer, error)
        return answer.record

    def _answer_record(self, answer: RecordAnswer) -> None:
        question = answer.question()
        if self._is_dry_run:
            return self._show(question)
        self._say_once(question.notices)
        record = answer.record
        tools = [(0, tool) for tool in record.get("tools", ())]
        exchange = question.exchange(*self._entry(question, record["messages"], tools, record))
        for _ in self._batches(exchange):
            pass
        answer.add_reply(exchange)
        if exchange.failure is not None:
            self._report(answer, exchange.failure)

    def _report(self, answer: RecordAnswer, error: LlmToolsError) -> None:
        record = answer.record
        name = f" {record['id']}" if "id" in record else ""
        self.process.say(f"conversation{name}: {error.full_message()}")
        record["error"]["stderr"] = self.process.stderr_name()
        self.process.status = self.process.status or error.exit_status
