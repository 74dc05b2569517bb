"""Models, responses and conversations, for programs that wait: `get_model`.

    model = llmtools.get_model("openai/gpt-5.5")
    print(model.prompt("Capital of France?").text())

Rules:
* A name is looked up, and its key found, when the model is first used. Nothing is sent before
  something is read.
* Several readers of a response see the same events, from the first one on.
* Reading the text of a response that failed raises its error, after what came; `messages`, `usage`
  and the rest keep what came, and `error` says what failed.
* A turn continues the last response that did not fail. Reading the turn waits for that response first.

`aio` is the same for asyncio; a test holds the two together.
"""

from __future__ import annotations

from typing import Any

from .calls import ToolCall, ToolResult
from .files import Attachment
from .messages import Event, Message, Usage
from .model_ref import ModelRef, known_name, listed_names, own_model, own_models
from .prompt import build_prompt
from .state import ResponseState
from .steps import Steps
from .toolbox import Hooks
from .turns import CHAIN_LIMIT, Joint, ResponseBase, ToolLoop, Turns, is_text, run_without_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from .prompt import Prompt, PromptArguments
    from .toolbox import After, Before, Given
    from .turns import Turn


class Response(ResponseBase):
    """The response to a prompt. Iterating yields its text as it comes; nothing is sent before.

        for chunk in llmtools.get_model("echo").prompt("hi"):
            print(chunk, end="")

    `str(response)` and `.text()` are the whole text. Reading the text, the events or the JSON of a
    response that failed raises its LlmToolsError (`llmtools.errors` has the tree); the other methods
    return what came.
    """

    _not_read = "not yet done"

    def __init__(self, prompt: Prompt, later: Callable[[], Prompt] | None = None) -> None:
        from threading import RLock

        self._state = ResponseState(prompt)
        self.is_opening: bool = later is None
        self._steps = Steps(self._state, later)
        self._lock = RLock()
        self._callbacks: list[Callable[[Response], object]] = []
        self._run_own()

    @property
    def model(self) -> Model:
        """The model that the prompt goes to."""
        return self.prompt.model  # type: ignore[return-value]

    def _pull(self, seen: int) -> bool:
        """Wait until there are more than `seen` events; return whether there are."""
        state = self._state
        while len(state.events) <= seen and not state.is_done:
            with self._lock:  # another thread may have waited for the same
                if len(state.events) <= seen and not state.is_done:
                    state.is_done = next(self._steps, self) is self
        while state.is_done and self._callbacks:
            self._callbacks.pop(0)(self)
        return len(state.events) > seen

    def wait(self) -> None:
        """Wait for the end of the response. A failure is in `error`."""
        while self._pull(len(self._state.events)):
            pass

    def close(self) -> None:
        """Give the response up, and close its connection. A response that is not over has failed then."""
        with self._lock:  # not while another thread waits for more
            self._steps.close()

    def on_done(self, callback: Callable[[Response], object]) -> None:
        """Call `callback` with the response when all of it has come.

        response = llmtools.get_model("echo").prompt("hi")
        response.on_done(lambda response: print(response.usage()))
        """
        self._callbacks.append(callback)
        if self.is_done:
            self._pull(0)

    def stream_events(self) -> Iterator[Event]:
        """Yield the events of the response, as they come or again: `start`, the events of its parts,
        notices, `end`. Raises the error of a response that failed, after its last event.

            for event in llmtools.get_model("echo").prompt("hi").stream_events():
                print(event.type, event.chunk)
        """
        place = 0
        while self._pull(place):
            event = self._state.events[place]
            place += 1
            if not self._is_hidden(event):
                yield event
        self._state.check()

    def __iter__(self) -> Iterator[str]:
        for event in self.stream_events():
            if is_text(event):
                yield event.chunk

    def text(self) -> str:
        """Return the whole text; where the model separates commentary from answer, the answer.

        Raises the error of a response that failed.

            llmtools.get_model("echo").prompt("hi").text()  # "hi"
        """
        self.wait()
        self._state.check()
        return self._state.text()

    def __str__(self) -> str:
        return self.text()

    def messages(self) -> list[Message]:
        """Return copies of the reply's messages: one, or several where the model paused.

        llmtools.get_model("echo").prompt("hi").messages()[0].role  # "assistant"
        """
        self.wait()
        return self._state.copies()

    def reasoning(self) -> str:
        """Return the text of the model's reasoning, as far as the provider shows it.

        llmtools.get_model("echo").prompt('{"reasoning": "hm"}').reasoning()  # "hm"
        """
        self.wait()
        return "".join([part.text for part in self._state.parts("reasoning")])

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls that have no result yet.

        script = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
        llmtools.get_model("echo").prompt(script).tool_calls()[0].name  # "upper"
        """
        self.wait()
        return self._state.calls()

    def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        self.wait()
        return self._state.attachments()

    def usage(self) -> Usage:
        """Return the tokens of the response: a `Usage` of input, output and details.

        llmtools.get_model("echo").prompt("hi").usage().output  # 1
        """
        self.wait()
        return self._state.usage()

    def json(self) -> Any:
        """Return the answer to a schema. Without a schema return the message, with its `response`.

        Raises InputError for an answer that does not fit, and the error of a response that failed.

            llmtools.get_model("echo").prompt('{"text": "{\\\\"age\\\\": 3}"}', schema="age int").json()  # {"age": 3}
        """
        self.wait()
        return self._state.json()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped: stop, length, tool_calls, content_filter, refusal, pause or error."""
        self.wait()
        return self._state.response().get("finish_reason")

    @property
    def id(self) -> str | None:
        """The id of the response: the vendor's, else ours."""
        self.wait()
        return self._state.identity()

    def datetime_utc(self) -> str:
        """Return the time at which it began, as RFC 3339 text, "" where it is not known."""
        self.wait()
        return self._state.start_time() or ""

    def duration_ms(self) -> int:
        """Return how long it took, in milliseconds, 0 where it is not known."""
        self.wait()
        return self._state.milliseconds()

    def execute_tool_calls(
        self,
        *,
        before_call: Before | None = None,
        after_call: After | None = None,
        tool_calls_list: Sequence[ToolCall] | None = None,
        tools: Iterable[Given] | None = None,
    ) -> list[ToolResult]:
        """Run the calls that have no result yet, or `tool_calls_list`; return their results in the order
        of the calls. `tools` replace those of the prompt.

        A call that fails has an `exception` in its result. Raises PauseChain where a tool raises it.

            def upper(text: str) -> str:
                return text.upper()

            script = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
            response = llmtools.get_model("echo").prompt(script, tools=[upper])
            response.execute_tool_calls()[0].output  # "PANDA"
        """
        calls = self.tool_calls() if tool_calls_list is None else tool_calls_list
        runner = self._state.tools_or(tools)
        runner.prepare()
        return runner.run(calls, Hooks(before_call, after_call))

    def reply(self, prompt: str | None = None, **arguments: Unpack[PromptArguments]) -> Response:
        """Return the response to the next turn: this conversation, the results of its calls, `prompt`
        as the user's words, and `messages`. The calls are run first, unless `tool_results` is given.

        It takes what `Model.prompt` takes. Tools, options, schema, key and the other settings stay as
        they are unless given. Raises the error of this response if it failed.

            response = llmtools.get_model("echo").prompt("hi")
            response.reply("and then?").text()  # "and then?"
        """
        self.text()
        given = arguments.get("tool_results")
        results = self.execute_tool_calls(tools=arguments.get("tools")) if given is None else given
        return Response(self._state.next_prompt(prompt, results, arguments))

    def to_dict(self) -> dict[str, Any]:
        """Return the response as JSON can hold it, for `from_dict`: the model, the conversation, the
        settings (tools, schema, options), the reply, usage, finish reason and error.

        Functions are stored by name and schema: give them again with `reply(tools=…)`. Keys are not stored.

            data = json.dumps(llmtools.get_model("echo").prompt("hi").to_dict())
            llmtools.Response.from_dict(json.loads(data)).reply("more").text()  # "more"
        """
        self.wait()
        return self._state.to_dict()

    def _records(self) -> list[dict[str, Any]]:
        """Return the conversation with the reply, or its failure, as the records of a stream."""
        self.wait()
        return self._state.records()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, model: Model | None = None) -> Response:
        """Return the response that `to_dict` returned as a dict; `model` answers the next turn, not the dict's.

        Raises NoModelError for a model that is not known, InputError for another dict.

            data = llmtools.get_model("echo").prompt("hi").to_dict()
            llmtools.Response.from_dict(data).text()  # "hi"
        """
        state = ResponseState.from_dict(data, model, get_model)
        response = cls(state.prompt)
        response._state = state
        return response


class Chain(ToolLoop[Response]):
    """The responses to one prompt, with the results of tools between them.

    Reading it raises RoundLimitError where the model still calls tools at the limit, PauseChain where
    a tool raises it, and the error of a response that failed.

        for response in model.chain("Convert panda to upper", tools=[upper]).responses():
            print(response.prompt.prompt, response.text())
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
        joint = Joint()
        for response in self.responses():
            joint.begin()
            for chunk in response:
                yield joint.join(chunk)

    def text(self) -> str:
        """Return the texts of all responses, with a space between two that have none."""
        return "".join(self)

    def __str__(self) -> str:
        return self.text()


class Talk(Turns[Response, Chain]):
    """A conversation with a model, turn by turn; `responses` are those so far.

    A turn continues the last response that did not fail, and waits for its end first. `prompt` asks
    once, as `Model.prompt`; `chain` runs tools and asks again, as `Model.chain`.

        talk = llmtools.get_model("echo").conversation(tools=[upper])
        talk.prompt("one").text()  # "one"
        talk.chain('{"tool_calls": [{"name": "upper", "arguments": {"text": "two"}}]}').text()  # "TWO"
        len(talk.responses)  # 3
    """

    model: Model
    _chain = Chain

    _response = Response

    def _when_read(self, turn: Turn) -> Callable[[], Prompt]:
        return lambda: run_without_waiting(turn())


class Model(ModelRef):
    """A model to ask. `llmtools.get_model` returns one.

    A subclass with `execute(prompt, stream, response, conversation)` is a model of one's own; `execute`
    yields texts or events, and `register` gives it a name for `get_model`.

        class Shout(llmtools.Model):
            model_id = "shout"

            def execute(self, prompt, stream, response, conversation):
                yield prompt.prompt.upper()

        Shout().prompt("hi").text()  # "HI"
    """

    is_async = False

    def prompt(self, prompt: str | None = None, **arguments: Unpack[PromptArguments]) -> Response:
        """Return the response to a prompt; nothing is sent before it is read.

        messages: a conversation before the prompt (what `user` and the like return, dicts, or a
        Conversation). system: a system message before it. attachments: files beside the prompt.
        fragments, system_fragments: texts before prompt and system. tool_results: of calls in
        `messages`. tools: functions, Toolboxes, Tools, tool records. schema: a JSON Schema, a pydantic
        model, or the short form "name, age int". options: of the model, by name; any other keyword is
        an option too (temperature, max_tokens …). reasoning: none, low, medium, high …
        hide_reasoning: leave reasoning out of the events. tool_choice, stream, key, limits (a
        `Limits`).

        Raises UsageError where there is nothing to ask, InputError for what is not a message.

            history = [llmtools.user("Capital of France?"), llmtools.assistant("Paris"), llmtools.user("Germany?")]
            llmtools.get_model("echo").prompt(messages=history, system="Be brief").text()  # "Germany?"
        """
        return Response(build_prompt(self, prompt, arguments))

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **arguments: Unpack[PromptArguments],
    ) -> Chain:
        """Return the responses to a prompt and to the results of the tools that the model calls.

        It takes what `prompt` takes. chain_limit: how often results are sent; 0 or None is without
        limit. before_call(tool, call) and after_call(tool, call, result) are called around each call.
        Open calls at the end of `messages` are run first.

            def upper(text: str) -> str:
                return text.upper()

            script = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
            llmtools.get_model("echo").chain(script, tools=[upper]).text()  # "PANDA"
        """
        return Chain(self.prompt(prompt, **arguments), chain_limit, Hooks(before_call, after_call))

    def conversation(
        self,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **settings: Unpack[PromptArguments],
    ) -> Talk:
        """Return a conversation that remembers its turns; the settings (tools, system …) hold for all turns.

        talk = llmtools.get_model("echo").conversation(system="Be brief")
        talk.prompt("one").text()  # "one"
        talk.prompt("two").text()  # "two"
        """
        return Talk(self, chain_limit, Hooks(before_call, after_call), settings)


class KeyModel(Model):
    """A model of one's own whose `execute` takes `key` too: see `get_key`.

    class Paid(llmtools.KeyModel):
        model_id, needs_key, key_env_var = "paid", "paid", "PAID_KEY"

        def execute(self, prompt, stream, response, conversation, key):
            yield f"paid with {key}"

    Paid().prompt("hi", key="k").text()  # "paid with k"
    """

    takes_key = True


def get_model(
    name: str | None = None, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
) -> Model:
    """Return a model by its name: an alias, "provider/model" or a bare name; without a name the default.

    With `base_url` the name is the one that the server there uses, which speaks `protocol`
    (openai-chat, openai-responses, anthropic, gemini, gemini-interactions, ollama). `key` wins over
    the key that is configured.

    Raises NoModelError for a name that is not known, and where there is no default. Other faults (a
    missing key, an unknown server) are raised when the model is first used.

        model = llmtools.get_model("echo")
        model.prompt("hi").text()  # "hi"
    """
    own = own_model(name, base_url, Model)
    return own or Model(known_name(name, base_url), base_url=base_url, protocol=protocol, key=key)


def get_models() -> list[Model]:
    """Return every model that can be asked: the registered ones, `echo`, and those that each provider with
    a key, or on this machine, lists. The lists are stored for a day; one that fails is a warning.

        "echo" in [model.model_id for model in llmtools.get_models()]  # True
    """
    return [*own_models(Model), *[Model(name) for name in listed_names()]]
