"""What llm-send --log stores: the request before it is sent, the reply as it ends, however it ends.

Rules:
* A log that cannot be written to costs one warning, never the reply.
* What was asked for and never came stays `unfinished`: the machine, or the process, was stopped.
"""

from __future__ import annotations

from ..errors import LlmToolsError
from .chain import Chain
from .recorder import failure_of, rest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..records.types import Message, Record
    from .store import Store


class Journal:
    """The log as one process writes to it; `say` tells, once, that it cannot."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._store: Store | None = None
        self._is_lost = False

    def entry(
        self, messages: Iterable[Message], tools: Iterable[tuple[int, Record]] = (), record: Record | None = None
    ) -> Entry:
        """Return where a conversation is stored: its messages, and its tools, each with how
        many messages stand before it; `record` is the conversation record that it is, if any."""
        chain, declared = Chain(rest_of(record or {})), list(tools)
        try:
            for message in messages:
                while declared and declared[0][0] <= chain.depth:
                    chain.tool(declared.pop(0)[1])
                chain.message(message)
            for _, tool in declared:
                chain.tool(tool)
        except LlmToolsError as error:
            self.lose(error)
        return Entry(self, chain)

    def store(self) -> Store | None:
        """Return the log, opened; None where it cannot be."""
        if self._store is None and not self._is_lost:
            try:
                from .store import Store

                self._store = Store()
            except (ImportError, LlmToolsError) as error:
                self.lose(error)
        return self._store

    def lose(self, error: Exception) -> None:
        """Give the storing up, and say so once."""
        if not self._is_lost:
            self._say(f"not stored: {error}")
        self._store, self._is_lost = None, True


class Entry:
    """One conversation of a journal: `begin`, then `finish`, for each request made in it."""

    def __init__(self, journal: Journal, chain: Chain) -> None:
        self._journal = journal
        self._chain = chain
        self._begun: int | None = None
        self._model = ""

    def begin(self, model: str) -> None:
        """Store the conversation, and that `model` is about to be asked."""
        store, self._model = self._journal.store(), model
        if store is not None:
            try:
                self._begun = store.begin(self._chain, model)
            except LlmToolsError as error:
                self._journal.lose(error)

    def finish(self, message: Message | None, failure: LlmToolsError | None) -> None:
        """Store what came: the reply, whole or not, or why none did. A second call does nothing."""
        begun, self._begun = self._begun, None
        store = self._journal.store()
        if begun is None or store is None:
            return
        try:
            if message is not None:
                self._chain.message(message)
            elif failure is not None:
                self._chain.failure(failure_of(dict(failure.to_record()), self._model))
            store.finish(begun, self._chain)
        except LlmToolsError as error:
            self._journal.lose(error)
