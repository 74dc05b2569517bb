"""The tools of several sources: offer them to a model, run its calls, and loop until it calls no more.

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
* A tool name belongs to one source. If two sources have a tool of the same name, that is an error,
  and the user renames one with NAME=SOURCE: no tool is renamed or hidden silently.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from ..errors import InputError, LlmToolsError, UsageError
from ..records.conversation import Conversation
from ..records.jsonl import dumps
from .calls import Result, has_next_round, refusal_reason
from .local import Functions
from .process import CallLimits, ToolError, environment
from .round import JOBS, Round
from .source import parse_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Self

    from ..records.types import Part, Record, ToolRecord
    from .source import ToolSource

    Approve = Callable[[Part, ToolRecord, str], Part]
    """(call, its tool, the name of its source) -> the call that may run. Raises ToolError."""


def _configured_tools() -> dict[str, list[str]]:
    from ..providers.config import read_config

    return read_config().tools


class Toolset:
    """The tools of sources: SOURCEs as `llm-tools` takes them, and functions of this process.

    `records`: the tool records, by name. `owners`: the source of each tool, by the same name.
    `notices`: what the user should know of the tools, such as one that a server lists and no model
    can call. Close it, or use it with `with`: its sources run processes.

    env: the names of more variables for the tools. limits: of each call. approve: decides whether a
    call may run, None for every call. jobs: how many calls run at once. wait: whether to wait until
    all sources have listed their tools; if not, call `ready`.

    Raises UsageError, ConfigError, and ToolError if a source does not list its tools.
    """

    def __init__(
        self,
        *sources: str | Callable[..., Any],
        env: Iterable[str] = (),
        limits: CallLimits | None = None,
        approve: Approve | None = None,
        jobs: int = JOBS,
        wait: bool = True,
    ) -> None:
        functions = [each for each in sources if not isinstance(each, str)]
        texts = [each for each in sources if isinstance(each, str)]
        self.sources: list[ToolSource] = parse_sources(texts, _configured_tools, environment(env))
        if functions:
            self.sources.append(Functions(functions))
        self.records: dict[str, ToolRecord] = {}
        self.owners: dict[str, ToolSource] = {}
        self.notices: list[str] = []
        self.limits = limits or CallLimits()
        self.approve = approve
        self.jobs = jobs
        pool = ThreadPoolExecutor(max(len(self.sources), 1))
        self._pending = deque((each, pool.submit(lambda each=each: each.tools)) for each in self.sources)  # type: ignore[misc]
        pool.shutdown(wait=False)
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until all sources have listed their tools, side by side. Raises as the class does."""
        try:
            while self._pending:
                owner, listing = self._pending[0]
                self._add(owner, listing.result())
                self.notices += owner.notices
                self._pending.popleft()
        except BaseException:
            self.close()
            raise

    def _add(self, owner: ToolSource, tools: dict[str, ToolRecord]) -> None:
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
        """End the processes of the sources."""
        if self.sources:
            with ThreadPoolExecutor(len(self.sources)) as pool:
                list(pool.map(lambda each: each.close(), self.sources))

    # Offering and running

    def missing(self, offered: Mapping[str, ToolRecord]) -> list[Record]:
        """Return the `tool` records to add to a conversation that already offers `offered`."""
        return [dict(tool) for name, tool in self.records.items() if offered.get(name) != tool]

    def allow(self, call: Part, offered: Mapping[str, ToolRecord] | None = None) -> Part:
        """Return the call that may run, as the user edited it.

        offered: the tools that the model was offered, None for all. Raises InputError if the call
        must not run, ToolError if the user denies it.
        """
        if call.get("needs_approval"):
            return self._allow_provider(call)
        if reason := refusal_reason(call, self.records if offered is None else offered, self.records):
            raise InputError(reason)
        if self.approve is None:
            return call
        approved = self.approve(call, self.records[call["name"]], self.owners[call["name"]].name)
        if reason := refusal_reason(approved, self.records, self.records):
            raise ToolError(reason)
        return approved

    def _allow_provider(self, call: Part) -> Part:
        """Return a call that the provider may run. Raises ToolError if the user did not say so."""
        name = call["name"]
        record: ToolRecord = {"type": "tool", "name": name, "description": "The provider runs it."}
        if self.approve is None:
            raise ToolError(f"nobody was asked whether the tool {name} may run")
        approved = self.approve(call, record, "a tool of the provider")
        if approved["arguments"] != call["arguments"]:
            raise ToolError(f"the user wants other arguments: {dumps(approved['arguments']).decode()}")
        return approved

    def run_call(self, call: Part) -> Result:
        """Run one call that may run; a failure is in the result. A call that needs approval has it now."""
        if call.get("needs_approval"):
            return Result("approved")
        try:
            return self.owners[call["name"]].call(call["name"], call["arguments"], self.limits)
        except LlmToolsError as error:
            return Result(exception=error.message)

    def new_call(self, name: str, arguments: dict[str, Any]) -> Part:
        """Return a call of a tool that may run. Raises UsageError if there is no tool of this name,
        and as `allow` does."""
        if name not in self.records:
            raise UsageError(f"no tool {name}: there are {', '.join(self.records)}")
        return self.allow({"type": "tool_call", "name": name, "arguments": arguments, "tool_call_id": "~0"})

    def call(self, name: str, arguments: dict[str, Any]) -> Result:
        """Run one tool; a failure is in the result. Raises UsageError if there is no tool of this name."""
        try:
            return self.run_call(self.new_call(name, arguments))
        except (InputError, ToolError) as error:
            return Result(exception=error.message)

    def round(self, conversation: Conversation) -> Round | None:
        """Return a round of the pending calls of the last reply, None if there are none."""
        calls = conversation.pending_calls()
        if not calls:
            return None
        offered = conversation.tools
        return Round(calls, lambda call: self.allow(call, offered), self.run_call, jobs=self.jobs)

    def run(self, conversation: Conversation) -> Iterator[Record]:
        """Run the pending calls of the last reply. Yield the records of the tool response: the last
        but one is its message."""
        tool_round = self.round(conversation)
        if tool_round is not None:
            for batch in tool_round.batches():
                yield from batch

    def loop(
        self,
        records: Conversation | Iterable[Mapping[str, Any]],
        model: str | None = None,
        *,
        max_rounds: int = 10,
        send: Callable[[Conversation], Iterable[Record]] | None = None,
    ) -> Iterator[Record]:
        """Offer the tools, then ask the model and run its calls in turn, until a reply has no calls.
        Yield every new record. Calls that are pending at the end of `records` run first.

        send: asks the model, in place of `llmtools.stream`. Raises RoundLimitError, after the last
        record, if the model still calls tools after `max_rounds`.
        """
        if isinstance(records, Conversation):
            records = records.records()
        conversation = Conversation({"type": "message", **record} for record in records)
        yield from _add_each(self.missing(conversation.tools), conversation)
        if conversation.messages and conversation.messages[-1]["role"] != "user":
            yield from _add_each(self.run(conversation), conversation)
        ask = send or _sender(model)
        for rounds in count():
            so_far = conversation.with_messages([*conversation.messages])
            yield from _add_each(ask(so_far), conversation)
            if not has_next_round(conversation.pending_calls(), rounds, max_rounds, "max_rounds"):
                return
            yield from _add_each(self.run(conversation), conversation)


def _add_each(records: Iterable[Record], conversation: Conversation) -> Iterator[Record]:
    """Yield the records, and add them to the conversation."""
    for record in records:
        conversation.add(record)
        yield record


def _sender(model: str | None) -> Callable[[Conversation], Iterator[Record]]:
    def ask(conversation: Conversation) -> Iterator[Record]:
        from ..exchange.ask import stream

        return stream(conversation, model)

    return ask
