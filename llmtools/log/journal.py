"""What llm-send --log stores: the request before it is sent, and the reply when it ends.

Rules:
* If the log cannot be written, that costs one warning, never the reply.
* A response stays `unfinished` if the process or the machine stopped before its end.
"""

from __future__ import annotations

from ..errors import LlmToolsError
from .chain import PendingConversation
from .recorder import response_of_error, unstored_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..records.types import Message, Record
    from .store import Store


class Journal:
    """The log as one process writes to it. `warn` is called once, if the log cannot be written."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._store: Store | None = None
        self._has_failed = False

    def entry(
        self, messages: Iterable[Message], tools: Iterable[tuple[int, Record]] = (), record: Record | None = None
    ) -> JournalEntry:
        """Return an entry for one conversation.

        tools: [(number of messages before it, tool)]. record: the conversation record that it came
        in, if any, for its other fields.
        """
        pending, remaining = PendingConversation(unstored_fields(record or {})), list(tools)
        try:
            for message in messages:
                while remaining and remaining[0][0] <= pending.depth:
                    pending.add_tool(remaining.pop(0)[1])
                pending.add_message(message)
            for _, tool in remaining:
                pending.add_tool(tool)
        except LlmToolsError as error:
            self.disable(error)
        return JournalEntry(self, pending)

    def open_store(self) -> Store | None:
        """Return the store, opened at the first call; None if the log cannot be written."""
        if self._store is None and not self._has_failed:
            try:
                from .store import Store

                self._store = Store()
            except (ImportError, LlmToolsError) as error:
                self.disable(error)
        return self._store

    def disable(self, error: Exception) -> None:
        """Store nothing from now on, and warn once."""
        if not self._has_failed:
            self._warn(f"not stored: {error}")
        self._store, self._has_failed = None, True


class JournalEntry:
    """One conversation of a journal: `begin`, then `finish`, for each of its requests."""

    def __init__(self, journal: Journal, pending: PendingConversation) -> None:
        self._journal = journal
        self._pending = pending
        self._response_id: int | None = None
        self._model = ""

    def begin(self, model: str) -> None:
        """Store the conversation and an unfinished response of `model`."""
        store, self._model = self._journal.open_store(), model
        if store is not None:
            try:
                self._response_id = store.begin(self._pending, model)
            except LlmToolsError as error:
                self._journal.disable(error)

    def finish(self, message: Message | None, failure: LlmToolsError | None) -> None:
        """Store the reply, complete or not, or the failure. A second call does nothing."""
        response_id, self._response_id = self._response_id, None
        store = self._journal.open_store()
        if response_id is None or store is None:
            return
        try:
            if message is not None:
                self._pending.add_message(message)
            elif failure is not None:
                self._pending.add_failure(response_of_error(dict(failure.to_record()), self._model))
            store.finish(response_id, self._pending)
        except LlmToolsError as error:
            self._journal.disable(error)
