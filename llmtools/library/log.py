"""The log from Python: what `llm-log` does, for responses and conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..log.recorder import Recorder
from ..log.search import parse_since
from ..log.search import search as search_log
from ..log.store import LAST, Store, check_name
from ..log.usage import usage as usage_of_log
from ..records.conversation import Conversation
from ..records.jsonl import loads
from .prompt import as_messages
from .turns import ResponseBase, ToolLoop, Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from typing import Self, TypeAlias

    Storable: TypeAlias = "ResponseBase | ToolLoop[Any] | Turns[Any, Any] | Conversation | Iterable[Mapping[str, Any]]"


class Log:
    """The log in one file: that of `llm-log`, or the one at `path`. Each message is stored once.

        with llmtools.Log("talks.db") as log:
            ref = log.put(llmtools.get_model("echo").prompt("Tell me of otters"))
            reply = llmtools.get_model("echo").prompt("shorter", messages=log.get(ref))
            log.put(reply)
            print(log.search("otters")[0]["snippet"])

    It is opened when it is first used, in the thread that uses it. Raises OutputError for a file that
    cannot be read or written, NoInputError where nothing is stored yet.
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._store: Store | None = None
        self._may_write = False

    def put(self, item: Storable, name: str | None = None) -> str:
        """Store a response (the synchronous is read to its end first), a chain, a conversation, or messages;
        return the hash of its last message, which is a reference for `get` and `llm-log`. `name` names it.

        Raises UsageError for a name that cannot be one and where there is nothing to store, InputError for
        what is not a message, RuntimeError for an asynchronous response that was not awaited.

            llmtools.Log("talks.db").put(llmtools.get_model("echo").prompt("hi"), name="greeting")
        """
        recorders = [_recorder_of(records) for records in _streams_of(item)]
        if not recorders or not any(recorder.conversation.depth for recorder in recorders):
            raise UsageError("there is nothing to store")
        store = self._open(writes=True)
        store.write([each for recorder in recorders for each in recorder.unsaved_conversations()])
        ref = recorders[-1].conversation.hash.hex()
        if name is not None:
            store.fork(ref, check_name(name))
        return ref

    def get(self, ref: str = LAST) -> Conversation:
        """Return the conversation that ends at a reference: a hash or its beginning, a name, or "last"; ~N
        after it is the Nth message before.

        Raises NoInputError if there is none, UsageError if there are several.

            llmtools.Log("talks.db").put([llmtools.user("hi")], name="greeting")
            llmtools.Log("talks.db").get("greeting").messages[0]["role"]  # "user"
        """
        return Conversation(loads(line) for line in self._open().lines(ref))

    def search(self, words: str, limit: int = 20, *, since: str | None = None, **filters: str) -> list[dict[str, Any]]:
        """Return the messages that have all the words, the best match first: hash, created (Unix time in ms),
        role and snippet of each.

        since: a date, a time, or a time ago such as 7d. filters: model, role, tool and name, each a text.
        Raises UsageError for a query without words.

            log = llmtools.Log("talks.db")
            log.put(llmtools.get_model("echo").prompt("Tell me of otters"))
            [row["role"] for row in log.search("otters", role="user")]  # ["user"]
        """
        names = ("model", "role", "tool", "name")
        moment = parse_since(since) if since else None
        given = {name: filters.pop(name, None) for name in names}
        if filters:
            raise UsageError(f"search: {min(filters)!r} is not a filter; there are since, {', '.join(names)}")
        return [dict(row) for row in search_log(self._open(), words, limit, since=moment, **given)]

    def usage(
        self, by: str = "model", *, since: str | None = None, model: str | None = None, name: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the tokens by "model", "day" or "name": a dict with responses, input, output, cached,
        reasoning, and `cost` in dollars where it is known.

            log = llmtools.Log("talks.db")
            log.put(llmtools.get_model("echo").prompt("hi there"))
            log.usage()[0]["output"]  # 2
        """
        moment = parse_since(since) if since else None
        return usage_of_log(self._open(), by, since=moment, model=model, name=name)

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _open(self, *, writes: bool = False) -> Store:
        if self._store is not None and writes and not self._may_write:
            self.close()
        if self._store is None:
            self._store, self._may_write = Store(self._path, writes=writes), writes
        return self._store


def _streams_of(item: Any) -> list[list[dict[str, Any]]]:
    """Return the records of each response of an item."""
    responses: list[Any] = []
    if isinstance(item, ResponseBase):
        responses = [item]
    elif isinstance(item, (ToolLoop, Turns)):
        responses = item._responses if isinstance(item, ToolLoop) else item.responses
    if isinstance(item, (ResponseBase, ToolLoop, Turns)):
        return [response._records() for response in responses]
    if isinstance(item, Conversation):
        return [item.records()]
    return [as_messages(item)]


def _recorder_of(records: Iterable[dict[str, Any]]) -> Recorder:
    recorder = Recorder()
    for record in records:
        recorder.feed(record)
    recorder.eof()
    return recorder
