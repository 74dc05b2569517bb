"""How one response follows another, and what the two kinds of responses share. Nothing here waits by itself.

The code of a tool loop and of a turn is written once, as coroutines. AsyncChain and AsyncTalk await
them; Chain and Talk run them with `run_without_waiting`, since nothing in them suspends then.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import Any, Generic, TypeVar

from ..tools.calls import has_next_round
from ..tools.function import await_if_needed
from .model_ref import ModelRef
from .prompt import build_prompt
from .state import ResponseState, pending_calls
from .toolbox import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from typing import TypeAlias, Unpack

    from ..errors import LlmToolsError
    from .calls import ToolCall
    from .messages import Event
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


class AwaitedDict(dict[str, Any]):
    """A dict that may also be awaited."""

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        """Return it."""
        return self
        yield


def plain_when_done(method: Callable[[Any], Coroutine[Any, Any, dict[str, Any]]]) -> Callable[[Any], AwaitedDict]:
    """Make a coroutine method of a response return its dict itself once the response is over, as llm does.
    The dict may still be awaited; before the end it must be."""

    @wraps(method)
    def call(response: Any) -> Any:
        coroutine = method(response)
        return AwaitedDict(run_without_waiting(coroutine)) if response.is_done else coroutine

    return call


class ResponseBase:
    """What Response and AsyncResponse share: what needs no waiting."""

    _state: ResponseState
    _not_read: str
    is_opening: bool
    """Whether its prompt is known from the start: it does not continue another response."""
    conversation: Any = None
    """The conversation that it is a turn of; None for another response."""

    def _run_own(self) -> None:
        """Let the state run `execute`, if the model is one of one's own."""
        model: Any = self.prompt.model
        if model.is_own:
            self._state.items = self._execute

    def _execute(self) -> Any:
        prompt, model = self.prompt, self.prompt.model
        given: dict[str, Any] = {}
        if model.takes_key:
            given["key"] = model.get_key(prompt.key.reveal() if prompt.key else None)
        return model.execute(prompt, stream=prompt.stream, response=self, conversation=self.conversation, **given)  # type: ignore[attr-defined]

    def set_usage(
        self, *, input: int | None = None, output: int | None = None, details: dict[str, Any] | None = None
    ) -> None:
        """Tell the tokens of the response: for the `execute` of a model.

        response.set_usage(input=3, output=5)
        """
        counts = {"input": input, "output": output, "details": details}
        self._state.own_reply.usage = {name: value for name, value in counts.items() if value is not None}

    def add_tool_call(self, tool_call: ToolCall) -> None:
        """Add a call of a tool: for the `execute` of a model.

        response.add_tool_call(llmtools.ToolCall("upper", {"text": "panda"}))
        """
        self._state.own_reply.add_call(tool_call)

    def set_resolved_model(self, model_id: str) -> None:
        """Tell the model that the provider used: for the `execute` of a model.

        response.set_resolved_model("tiny-2")
        """
        self._state.own_reply.model_served = model_id

    @property
    def response_json(self) -> Any:
        """What `json` returns, where the `execute` of a model has set it."""
        return self._state.own_reply.json

    @response_json.setter
    def response_json(self, value: Any) -> None:
        self._state.own_reply.json = value

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
        text = self._state.text() if self.is_done else f"... {self._not_read} ..."
        return f"<{type(self).__name__} prompt={self.prompt.prompt!r} text={text!r}>"

    def _is_hidden(self, event: Event) -> bool:
        return event.type == "reasoning" and self.prompt.hide_reasoning


class Joint:
    """Puts a space between the texts of two responses that would run into each other."""

    def __init__(self) -> None:
        self._last = ""
        self._is_first = False

    def begin(self) -> None:
        """Note that another response begins."""
        self._is_first = True

    def join(self, chunk: str) -> str:
        """Return a chunk, with a space before it where one is needed."""
        is_apart = not self._is_first or not self._last or self._last.isspace() or chunk[0].isspace()
        self._is_first, self._last = False, chunk[-1]
        return chunk if is_apart else f" {chunk}"


def is_text(event: Event) -> bool:
    """Return whether an event adds to the text of the answer."""
    return event.type == "text" and event.get("phase") != "commentary" and bool(event.chunk)


class ToolLoop(Generic[ResponseT]):
    """The tool loop that Chain and AsyncChain share."""

    def __init__(
        self, first: ResponseT, limit: int | None, hooks: Hooks, all_responses: list[ResponseT] | None = None
    ) -> None:
        self._first: Any = first
        self.chain_limit = limit
        self._hooks = hooks
        self._responses: list[Any] = []
        self._all = [] if all_responses is None else all_responses

    async def _follow(self) -> bool:
        """Ask again if the last response has calls; return whether there is one more response."""
        if not self._responses:
            return self._add(await self._open())
        last = self._responses[-1]
        calls = await await_if_needed(last.tool_calls())
        if not has_next_round(calls, len(self._responses) - 1, self.chain_limit or None, "chain_limit"):
            return False
        ran = last.execute_tool_calls(before_call=self._hooks.before, after_call=self._hooks.after)
        results = await await_if_needed(ran)
        return self._add(await await_if_needed(last.reply(tool_results=results)))

    def _add(self, response: Any) -> bool:
        response.conversation = self._first.conversation
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
        self.chain_limit = chain_limit
        self._turns: list[ResponseT] = []
        self._hooks = hooks
        self._settings = settings

    def prompt(self, prompt: str | None = None, **arguments: Unpack[PromptArguments]) -> ResponseT:
        """Return the response to the next turn, as `Model.prompt` does."""
        response = self._next(prompt, arguments)
        self._turns.append(response)
        return response

    @property
    def responses(self) -> list[ResponseT]:
        """The responses so far, without those that are not read to their end."""
        turns: list[Any] = self._turns
        return [response for response in turns if response.is_done]

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
        limit = self.chain_limit if chain_limit is None else chain_limit
        chain: ChainT = self._chain(self._next(prompt, arguments), limit, hooks, self._turns)
        return chain

    def _next(self, prompt: str | None, arguments: PromptArguments) -> ResponseT:
        opening = partial(build_prompt, self.model, prompt, {**self._settings, **arguments})
        if not self._turns or arguments.get("messages") is not None:
            response: Any = self._response(opening())
        else:
            before: Any = self._turns[-1]
            turn = partial(next_turn, self._turns[:], self._hooks, prompt, arguments, opening)
            response = self._response(before.prompt, self._when_read(turn))
        response.conversation = self
        return response  # type: ignore[no-any-return]

    def _when_read(self, turn: Turn) -> Callable[[], Any]:
        """Return what gives the prompt of a turn when its response is first read."""
        return turn
