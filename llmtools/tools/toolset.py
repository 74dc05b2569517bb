"""The tools of several sources, and what is done with them: offered, run, looped over.

    from llmtools import user
    from llmtools.tools import Toolset

    def add(a: int, b: int) -> int:
        "Add two numbers."
        return a + b

    with Toolset("calc.py", "mcp:mcp-server-time", add) as tools:
        tools.call("add", {"a": 1, "b": 2}).output              # "3"
        for record in tools.loop([user("What is 1+2?")], "openai/gpt-5.5"):
            ...

Rules:
* A tool has one name and one owner. Two sources that both have a name are refused, and the
  user says what one of them is to be called: nothing is renamed, or hidden, on its own.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from ..errors import InputError, LlmToolsError, UsageError
from ..records.conversation import Conversation
from .calls import Result, goes_on, why_not
from .local import Functions
from .process import Limits, ToolError, environment
from .round import JOBS, Round
from .source import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Self

    from ..records.types import Part, Record, ToolRecord
    from .source import Source

    Approve = Callable[[Part, ToolRecord, str], Part]
    """Returns the call of a tool, of the source of that name, that may run. Raises ToolError."""


def _configured() -> dict[str, list[str]]:
    from ..providers.config import read

    return read().tools


class Toolset:
    """The tools of sources: strings as `llm-tools` takes them, and functions of this process.

    `records` are the tools by name, `owners` who runs each. Close it, or use it with `with`: it
    keeps processes running. `env` names variables that tools get beside the few that all get.
    Without `wait` the sources are still being asked, until `ready` has been called.

    Raises UsageError, ConfigError, and ToolError for a source that cannot be asked.
    """

    def __init__(
        self,
        *given: str | Callable[..., Any],
        env: Iterable[str] = (),
        limits: Limits | None = None,
        approve: Approve | None = None,
        jobs: int = JOBS,
        wait: bool = True,
    ) -> None:
        functions = [each for each in given if not isinstance(each, str)]
        named = [each for each in given if isinstance(each, str)]
        self.sources: list[Source] = sources(named, _configured, environment(env))
        if functions:
            self.sources.append(Functions(functions))
        self.records: dict[str, ToolRecord] = {}
        self.owners: dict[str, Source] = {}
        self.limits = limits or Limits()
        self.approve = approve
        self.jobs = jobs
        pool = ThreadPoolExecutor(max(len(self.sources), 1))
        self._asked = deque((each, pool.submit(lambda each=each: each.tools)) for each in self.sources)  # type: ignore[misc]
        pool.shutdown(wait=False)
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until all sources, which are asked side by side, have told their tools. Raises as the class does."""
        try:
            while self._asked:
                owner, asked = self._asked[0]
                self._add(owner, asked.result())
                self._asked.popleft()
        except BaseException:
            self.close()
            raise

    def _add(self, owner: Source, tools: dict[str, ToolRecord]) -> None:
        for name, record in tools.items():
            if name in self.records:
                both = f"{self.owners[name].name} and {owner.name} both have a tool {name}"
                raise UsageError(f"{both}: NAME=SOURCE calls the tools of one NAME_{name}, and so on")
            self.records[name], self.owners[name] = record, owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End what the sources keep running."""
        if self.sources:
            with ThreadPoolExecutor(len(self.sources)) as pool:
                list(pool.map(lambda each: each.close(), self.sources))

    # What is done with them

    def missing(self, offered: Mapping[str, ToolRecord]) -> list[Record]:
        """Return the `tool` records that are to be added where `offered` are there already."""
        return [dict(tool) for name, tool in self.records.items() if offered.get(name) != tool]

    def allow(self, call: Part, offered: Mapping[str, ToolRecord] | None = None) -> Part:
        """Return a call as it may run: the user may have changed it.

        offered: the tools that the model was offered, None for all. Raises InputError for a call
        that must not run, ToolError for one that the user denies.
        """
        if why := why_not(call, self.records if offered is None else offered, self.records):
            raise InputError(why)
        if self.approve is None:
            return call
        approved = self.approve(call, self.records[call["name"]], self.owners[call["name"]].name)
        if why := why_not(approved, self.records, self.records):
            raise ToolError(why)
        return approved

    def run_call(self, call: Part) -> Result:
        """Run one call that may run; what goes wrong is in the result."""
        try:
            return self.owners[call["name"]].call(call["name"], call["arguments"], self.limits)
        except LlmToolsError as error:
            return Result(exception=error.message)

    def new_call(self, name: str, arguments: dict[str, Any]) -> Part:
        """Return a call of a tool, as it may run. Raises UsageError for a name that is not a tool's, and
        what `allow` raises."""
        if name not in self.records:
            raise UsageError(f"no tool {name}: there are {', '.join(self.records)}")
        return self.allow({"type": "tool_call", "name": name, "arguments": arguments, "tool_call_id": "~0"})

    def call(self, name: str, arguments: dict[str, Any]) -> Result:
        """Run one tool; what goes wrong is in the result. Raises UsageError for a name that is not a tool's."""
        try:
            return self.run_call(self.new_call(name, arguments))
        except (InputError, ToolError) as error:
            return Result(exception=error.message)

    def round(self, conversation: Conversation) -> Round | None:
        """Return the running of the pending calls of the last reply, None where there are none."""
        calls = conversation.pending_calls()
        if not calls:
            return None
        offered = conversation.tools
        return Round(calls, lambda call: self.allow(call, offered), self.run_call, jobs=self.jobs)

    def run(self, conversation: Conversation) -> Iterator[Record]:
        """Run the pending calls of the last reply; yield the records of the response that
        answers them, its message last but one."""
        turn = self.round(conversation)
        if turn is not None:
            for batch in turn.batches():
                yield from batch

    def loop(
        self,
        records: Conversation | Iterable[Mapping[str, Any]],
        model: str | None = None,
        *,
        max_rounds: int = 10,
        send: Callable[[Conversation], Iterable[Record]] | None = None,
    ) -> Iterator[Record]:
        """Offer the tools, ask the model and run its calls in turn, until a reply has none; yield
        what each step adds. `send` asks instead of `llmtools.stream`. Calls that are pending
        at the end of the records are run first.

        Raises RoundLimitError after the last record where the model still calls then.
        """
        if isinstance(records, Conversation):
            records = records.records()
        conversation = Conversation({"type": "message", **record} for record in records)
        yield from _added(self.missing(conversation.tools), conversation)
        if conversation.messages and conversation.messages[-1]["role"] != "user":
            yield from _added(self.run(conversation), conversation)
        ask = send or _stream_of(model)
        for rounds in count():
            so_far = conversation.with_messages([*conversation.messages])
            yield from _added(ask(so_far), conversation)
            if not goes_on(conversation.pending_calls(), rounds, max_rounds, "max_rounds"):
                return
            yield from _added(self.run(conversation), conversation)


def _added(records: Iterable[Record], conversation: Conversation) -> Iterator[Record]:
    """Yield the records, and add them to the conversation."""
    for record in records:
        conversation.add(record)
        yield record


def _stream_of(model: str | None) -> Callable[[Conversation], Iterator[Record]]:
    def ask(conversation: Conversation) -> Iterator[Record]:
        from ..exchange.ask import stream

        return stream(conversation, model)

    return ask
