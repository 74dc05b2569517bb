"""Models, responses and conversations, for programs that wait: `get_model`.

    model = llmtools.get_model("openai/gpt-5.5")
    print(model.prompt("Capital of France?").text())

Rules:
* A name is looked up, and its key found, when the model is first asked. Nothing is sent before
  something is read.
* Several readers of a response see the same events, from the first one on.
* Reading the text of a response that failed raises its error, after what came; `messages`, `usage`
  and the rest keep what came, and `error` says what failed.
* A turn continues the last response that did not fail. Reading the turn waits for that response first.

`aio` is the same for asyncio; a test holds the two together.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from ..errors import LlmToolsError
from .messages import Attachment, Event, Message, ToolCall, ToolResult, Usage
from .model_ref import ModelRef, known_name
from .prompt import build_prompt
from .state import ResponseState
from .toolbox import Hooks
from .turns import CHAIN_LIMIT, ResponseBase, ToolLoop, Turns, is_text, run_without_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from ..exchange.exchange import Exchange
    from .prompt import Asked, Prompt
    from .toolbox import After, Before, Given
    from .turns import Turn


class Response(ResponseBase):
    """The response to a prompt. Iterating gives its text as it comes; nothing is sent before.

        for chunk in llmtools.get_model("echo").prompt("hi"):
            print(chunk, end="")

    `str(response)` and `.text()` are the whole text. Whatever reads the text, its events or its
    JSON raises the LlmToolsError that the response failed with (`llmtools.errors` has the tree);
    the other methods tell of what came all the same.
    """

    def __init__(self, prompt: Prompt, later: Callable[[], Prompt] | None = None) -> None:
        from threading import RLock

        self._state = ResponseState(prompt)
        self.is_opening: bool = later is None
        self._source = steps(self._state, later)
        self._lock = RLock()
        self._callbacks: list[Callable[[Response], object]] = []

    @property
    def model(self) -> Model:
        """The model that was asked."""
        return self.prompt.model  # type: ignore[return-value]

    def _pull(self, seen: int) -> bool:
        """Wait until there are more than `seen` events; return whether there are."""
        state = self._state
        while len(state.events) <= seen and not state.is_done:
            with self._lock:  # another thread may have waited for the same
                if len(state.events) <= seen and not state.is_done:
                    state.is_done = next(self._source, self) is self
        if state.is_done:
            while self._callbacks:
                self._callbacks.pop(0)(self)
        return len(state.events) > seen

    def wait(self) -> None:
        """Wait for the end of the response; what it failed with is in `error`."""
        while self._pull(len(self._state.events)):
            pass

    def close(self) -> None:
        """Give the response up, and close its connection: from then on it has failed."""
        with self._lock:  # not while another thread waits for more
            self._source.close()
        if not self.is_done:
            self._state.give_up(None)

    def on_done(self, callback: Callable[[Response], object]) -> None:
        """Have `callback` called with the response when all of it came.

        response = llmtools.get_model("echo").prompt("hi")
        response.on_done(lambda response: print(response.usage()))
        """
        self._callbacks.append(callback)
        if self.is_done:
            self._pull(0)

    def stream_events(self) -> Iterator[Event]:
        """Yield the events of the response, as they come or again: `start`, the events of its
        parts, notices, `end`. Raises the error with which it failed, after the last.

            for event in llmtools.get_model("echo").prompt("hi").stream_events():
                print(event.type, event.chunk)
        """
        place = 0
        while self._pull(place):
            event = self._state.events[place]
            place += 1
            if not self._hidden(event):
                yield event
        self._state.check()

    def __iter__(self) -> Iterator[str]:
        return (event.chunk for event in self.stream_events() if is_text(event))

    def text(self) -> str:
        """Return the whole text; of a model that tells commentary from answer, the answer.

        Raises the error with which the response failed.

            llmtools.get_model("echo").prompt("hi").text()  # "hi"
        """
        self.wait()
        self._state.check()
        return self._state.text()

    def __str__(self) -> str:
        return self.text()

    def messages(self) -> list[Message]:
        """Return the messages that the response made, to keep: one, and more where the model paused.

        llmtools.get_model("echo").prompt("hi").messages()[0].role  # "assistant"
        """
        self.wait()
        return self._state.copies()

    def reasoning(self) -> str:
        """Return what the model told of its reasoning.

        llmtools.get_model("echo").prompt('{"reasoning": "hm"}').reasoning()  # "hm"
        """
        self.wait()
        return "".join([part.text for part in self._state.parts("reasoning")])

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls that wait for their results.

        asked = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
        llmtools.get_model("echo").prompt(asked).tool_calls()[0].name  # "upper"
        """
        self.wait()
        return self._state.calls()

    def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        self.wait()
        return self._state.attachments()

    def usage(self) -> Usage:
        """Return the tokens that it took: a `Usage` of input, output and details.

        llmtools.get_model("echo").prompt("hi").usage().output  # 1
        """
        self.wait()
        return self._state.usage()

    def json(self) -> Any:
        """Return the answer to a schema; where none was asked for, the message with its `response`.
        Raises InputError for an answer that does not fit, and the error with which the response failed.

            llmtools.get_model("echo").prompt('{"text": "{\\\\"age\\\\": 3}"}', schema="age int").json()  # {"age": 3}
        """
        self.wait()
        return self._state.json()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped: stop, length, tool_calls, content_filter, refusal, pause or error."""
        self.wait()
        return self._state.response().get("finish_reason")

    def execute_tool_calls(
        self,
        *,
        before_call: Before | None = None,
        after_call: After | None = None,
        tool_calls_list: Sequence[ToolCall] | None = None,
        tools: Iterable[Given] | None = None,
    ) -> list[ToolResult]:
        """Run the calls that wait, or those that are given; return their results in the order of
        the calls. `tools` run them in the place of the prompt's.

        A call that fails, or whose tool is not there, has an `exception` in its result.
        Raises PauseChain where a tool raises it.

            def upper(text: str) -> str:
                return text.upper()

            asked = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
            response = llmtools.get_model("echo").prompt(asked, tools=[upper])
            response.execute_tool_calls()[0].output  # "PANDA"
        """
        calls = self.tool_calls() if tool_calls_list is None else tool_calls_list
        (ready := self._state.tools_or(tools)).prepare()
        return ready.run(calls, Hooks(before_call, after_call))

    def reply(self, prompt: str | None = None, **asked: Unpack[Asked]) -> Response:
        """Return the response to the next turn: this conversation, the results of its calls
        (which are run first, unless `tool_results` gives them), `prompt` as the user's words, and
        `messages`.

        Tools, options, schema, key and the rest are kept, unless `asked` says otherwise; it takes
        what `Model.prompt` takes. Raises the error with which this response failed.

            response = llmtools.get_model("echo").prompt("hi")
            response.reply("and then?").text()  # "and then?"
        """
        self.text()
        given = asked.get("tool_results")
        results = self.execute_tool_calls(tools=asked.get("tools")) if given is None else given
        return Response(self._state.next_prompt(prompt, results, asked))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it, and `from_dict` makes it of: the model, the conversation,
        what was asked (tools, schema, options), the reply, usage, finish reason, error.

        Functions are kept by name and schema: give them again with `reply(tools=…)`. No key is kept.

            kept = json.dumps(llmtools.get_model("echo").prompt("hi").to_dict())
            llmtools.Response.from_dict(json.loads(kept)).reply("more").text()  # "more"
        """
        self.wait()
        return self._state.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, model: Model | None = None) -> Response:
        """Return the response that `to_dict` told of; `model` answers the next turn in the place
        of the one it names.

        Raises NoModelError where that is not known, InputError for what no `to_dict` gave.

            kept = llmtools.get_model("echo").prompt("hi").to_dict()
            llmtools.Response.from_dict(kept).text()  # "hi"
        """
        state = ResponseState.from_dict(data, model, get_model)
        response = cls(state.prompt)
        response._state = state
        return response


class Chain(ToolLoop[Response]):
    """The responses to one prompt, with the results of tools between them.

    Raises RoundLimitError where the model still calls tools when the limit is reached, PauseChain
    where a tool raises it, and the error of a response that failed.

        for response in model.chain("Convert panda to upper", tools=[upper]).responses():
            print(response.prompt.messages[-1], response.text())
    """

    def responses(self) -> Iterator[Response]:
        """Yield the responses, each before it is read."""
        place = 0
        while place < len(self._responses) or run_without_waiting(self._follow()):
            yield self._responses[place]
            place += 1

    def stream_events(self) -> Iterator[Event]:
        """Yield the events of all responses."""
        for response in self.responses():
            yield from response.stream_events()

    def __iter__(self) -> Iterator[str]:
        for response in self.responses():
            yield from response

    def text(self) -> str:
        """Return the texts of all responses, joined."""
        return "".join(self)

    def __str__(self) -> str:
        return self.text()


class Talk(Turns[Response, Chain]):
    """A conversation with a model, turn by turn; `responses` are those so far.

    A turn goes on from the last one that did not fail, which is read to its end first. Each is
    asked as `Model.prompt` asks, or with the results of tools as `Model.chain` does.

        talk = llmtools.get_model("echo").conversation(tools=[upper])
        talk.prompt("one").text()  # "one"
        talk.chain('{"tool_calls": [{"name": "upper", "arguments": {"text": "two"}}]}').text()  # "TWO"
        len(talk.responses)  # 3
    """

    model: Model
    _chain = Chain

    def _new_response(self, prompt: Prompt, turn: Turn | None) -> Response:
        return Response(prompt, None if turn is None else lambda: run_without_waiting(turn()))


class Model(ModelRef):
    """A model to ask. `llmtools.get_model` gives one.

    llmtools.get_model("echo").prompt("hi").text()  # "hi"
    """

    def prompt(self, prompt: str | None = None, **asked: Unpack[Asked]) -> Response:
        """Return the response to a prompt; nothing is sent before it is read.

        messages: a conversation (messages as `user` and its like make them, their dicts, or a
        Conversation); system: a system message before it; attachments: files to go with the
        prompt; fragments, system_fragments: texts before them; tool_results; tools: functions,
        Toolboxes, Tools, tool records; schema: a JSON Schema, a pydantic model, or the short form
        "name, age int"; options: of the model, by name (any other keyword is one too: temperature,
        max_tokens …); reasoning: none, low, medium, high …; hide_reasoning: tell no reasoning in
        the events; tool_choice; stream; key; limits: a `Limits`.

        Raises UsageError where there is nothing to ask, InputError for messages that are none.

            said = [llmtools.user("Capital of France?"), llmtools.assistant("Paris"), llmtools.user("Germany?")]
            llmtools.get_model("echo").prompt(messages=said, system="Be brief").text()  # "Germany?"
        """
        return Response(build_prompt(self, prompt, asked))

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **asked: Unpack[Asked],
    ) -> Chain:
        """Return the responses to a prompt and to the results of the tools that it calls.

        It takes what `prompt` takes. chain_limit: how often results are sent, 0 or None without
        limit; before_call(tool, call) and after_call(tool, call, result) are called around each
        call. Calls that `messages` end with are run first.

            def upper(text: str) -> str:
                return text.upper()

            asked = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
            llmtools.get_model("echo").chain(asked, tools=[upper]).text()  # "PANDA"
        """
        return Chain(self.prompt(prompt, **asked), chain_limit, Hooks(before_call, after_call))

    def conversation(
        self,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **settings: Unpack[Asked],
    ) -> Talk:
        """Return a conversation that remembers its turns; what is given (tools, system …) holds for all.

        talk = llmtools.get_model("echo").conversation(system="Be brief")
        talk.prompt("one").text()  # "one"
        talk.prompt("two").text()  # "two"
        """
        return Talk(self, chain_limit, Hooks(before_call, after_call), settings)


def get_model(
    name: str | None = None, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
) -> Model:
    """Return a model: an alias, "provider/model" or a known name; without one the default.

    With `base_url` it is what the server there calls it, which speaks `protocol` (openai-chat,
    openai-responses, anthropic, gemini, ollama). `key` wins over the key that is configured.

    Raises NoModelError for a name that no one knows, and where there is no default; what else is
    wrong (no key, no such server) is told when the model is first asked.

        model = llmtools.get_model("echo")
        model.prompt("hi").text()  # "hi"
    """
    return Model(known_name(name, base_url), base_url=base_url, protocol=protocol, key=key)


def steps(state: ResponseState, later: Callable[[], Prompt] | None) -> Generator[None, None, None]:
    """Ask the model, and fill the state, step by step."""
    exchange: Exchange | None = None
    try:
        if later is not None:
            state.prompt = later()
        state.prompt.tools.prepare()
        exchange = state.exchange()
        with closing(exchange.batches()) as batches:
            for records in batches:
                state.add_records(records)
                yield
        state.end(exchange)
    except LlmToolsError as error:
        state.error = state.error or error
    except BaseException:
        state.give_up(exchange)
        raise
