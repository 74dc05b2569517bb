"""How one response follows another, and what the two kinds of responses share. Nothing here waits by itself.

The code of a tool loop and of a turn is written once, as coroutines. AsyncChain and AsyncTalk await
them; Chain and Talk run them with `run_without_waiting`, since nothing in them suspends then.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Generic, TypeVar

from ..tools.calls import has_next_round
from ..tools.function import await_if_needed
from .messages import Event
from .model_ref import ModelRef
from .prompt import build_prompt
from .state import ResponseState, pending_calls
from .toolbox import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import TypeAlias, Unpack

    from ..errors import LlmToolsError
    from .prompt import Prompt, PromptArguments
    from .toolbox import After, Before

    Turn: TypeAlias = Callable[[], Coroutine[Any, Any, Prompt]]

T = TypeVar("T")
ResponseT = TypeVar("ResponseT")
ChainT = TypeVar("ChainT")

CHAIN_LIMIT = 10
"""How often a chain asks again with the results of tools."""


def run_without_waiting(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result. Raises RuntimeError for another."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise RuntimeError("the coroutine waits for something")


class ResponseBase:
    """What Response and AsyncResponse share: what needs no waiting."""

    _state: ResponseState
    is_opening: bool
    """Whether its prompt is known from the start: it does not continue another response."""

    @property
    def prompt(self) -> Prompt:
        """The prompt; `prompt.messages` is the whole conversation, as the model sees it."""
        return self._state.prompt

    @property
    def error(self) -> LlmToolsError | None:
        """The error of a response that failed; None if it did not, or not yet."""
        return self._state.error

    @property
    def is_done(self) -> bool:
        """Whether all of it has come, or it failed."""
        return self._state.is_done

    def __repr__(self) -> str:
        state = repr(self._state.text()) if self.is_done else "not read yet"
        return f"<{type(self).__name__} of {self.prompt.model.model_id}: {state}>"

    def _is_hidden(self, event: Event) -> bool:
        return event.type == "reasoning" and self.prompt.hide_reasoning


def is_text(event: Event) -> bool:
    """Return whether an event adds to the text of the answer."""
    return event.type == "text" and event.get("phase") != "commentary" and bool(event.chunk)


class ToolLoop(Generic[ResponseT]):
    """The tool loop that Chain and AsyncChain share."""

    def __init__(
        self, first: ResponseT, limit: int | None, hooks: Hooks, all_responses: list[ResponseT] | None = None
    ) -> None:
        self._first: Any = first
        self._limit = limit or None
        self._hooks = hooks
        self._responses: list[Any] = []
        self._all = [] if all_responses is None else all_responses

    async def _follow(self) -> bool:
        """Ask again if the last response has calls; return whether there is one more response."""
        if not self._responses:
            return self._add(await self._open())
        last = self._responses[-1]
        calls = await await_if_needed(last.tool_calls())
        if not has_next_round(calls, len(self._responses) - 1, self._limit, "chain_limit"):
            return False
        ran = last.execute_tool_calls(before_call=self._hooks.before, after_call=self._hooks.after)
        results = await await_if_needed(ran)
        return self._add(await await_if_needed(last.reply(tool_results=results)))

    def _add(self, response: Any) -> bool:
        self._responses.append(response)
        self._all.append(response)
        return True

    async def _open(self) -> Any:
        """Return the first response. Open calls at the end of its messages are run first."""
        first, prompt, hooks = self._first, self._first.prompt, self._hooks
        calls = pending_calls(prompt.conversation()) if first.is_opening else []
        if not calls:
            return first
        ran = first.execute_tool_calls(tool_calls_list=calls, before_call=hooks.before, after_call=hooks.after)
        return type(first)(prompt.with_results(await await_if_needed(ran)))


async def next_turn(
    before: list[Any], hooks: Hooks, prompt: str | None, arguments: PromptArguments, opening: Callable[[], Prompt]
) -> Prompt:
    """Return the prompt of the turn after the last response that did not fail; `opening` where all failed."""
    for response in reversed(before):
        await await_if_needed(response.wait())
        if response.error is None:
            turn: Any = dict(arguments)
            if turn.get("tool_results") is None:
                turn["tool_results"] = await await_if_needed(
                    response.execute_tool_calls(
                        before_call=hooks.before, after_call=hooks.after, tools=turn.get("tools")
                    )
                )
            reply = await await_if_needed(response.reply(prompt, **turn))
            return reply.prompt  # type: ignore[no-any-return]
    return opening()


class Turns(Generic[ResponseT, ChainT]):
    """What Talk and AsyncTalk share."""

    model: ModelRef
    _response: type[Any]
    _chain: type[Any]

    def __init__(self, model: ModelRef, chain_limit: int | None, hooks: Hooks, settings: PromptArguments) -> None:
        self.model = model
        self.responses: list[ResponseT] = []
        self._chain_limit = chain_limit
        self._hooks = hooks
        self._settings = settings

    def prompt(self, prompt: str | None = None, **arguments: Unpack[PromptArguments]) -> ResponseT:
        """Return the response to the next turn, as `Model.prompt` does."""
        response = self._next(prompt, arguments)
        self.responses.append(response)
        return response

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = None,
        before_call: Before | None = None,
        after_call: After | None = None,
        **arguments: Unpack[PromptArguments],
    ) -> ChainT:
        """Return the responses to the next turn, as `Model.chain` does."""
        hooks = Hooks(before_call or self._hooks.before, after_call or self._hooks.after)
        limit = self._chain_limit if chain_limit is None else chain_limit
        chain: ChainT = self._chain(self._next(prompt, arguments), limit, hooks, self.responses)
        return chain

    def _next(self, prompt: str | None, arguments: PromptArguments) -> ResponseT:
        opening = partial(build_prompt, self.model, prompt, {**self._settings, **arguments})
        if not self.responses:
            first: ResponseT = self._response(opening())
            return first
        before: Any = self.responses[-1]
        turn = partial(next_turn, self.responses[:], self._hooks, prompt, arguments, opening)
        response: ResponseT = self._response(before.prompt, self._when_read(turn))
        return response

    def _when_read(self, turn: Turn) -> Callable[[], Any]:
        """Return what gives the prompt of a turn when its response is first read."""
        return turn
