"""Prepares conversations to be sent: every way to a model goes through here.

Rules:
* The model is the given one, else that of the last reply, else the default.
* A stream that failed is not sent, except with AskOptions.anyway; then its incomplete calls are
  dropped, each with a notice.
* The options of a stream are those with common names; of its others a notice tells.
* A conversation record is a stream of its own: it is returned with its reply, or with `error`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..errors import InputError, LlmToolsError, NoInputError, NoModelError, from_record, setting_name
from ..http.request import Limits
from ..protocols.request import Target, is_built_in
from ..records.build import build_message, notice
from ..records.conversation import Conversation, conversation_of, may_set, text_of, unanswered_calls, with_call_ids
from ..records.state import is_paused
from .exchange import Exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from ..http.endpoint import Endpoint, Secret
    from ..protocols.request import Request
    from ..records.types import ErrorRecord, Message, Part, Record
    from .exchange import Keeper


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How conversations are sent.

    model: a name (None: see `choose_model`). endpoint: where to send them instead of the provider of
    the model. key: instead of the one in the environment or the keyring. system: the text of a first
    system message. server_tools: `NAME` or `NAME=JSON` of tools that the vendor runs. anyway: send
    also a stream that failed. prefill: let the model continue its own last message. The others: see
    `Request`.
    """

    model: str | None = None
    endpoint: Endpoint | None = None
    key: Secret | None = None
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    tool_choice: str | None = None
    reasoning: str | None = None
    server_tools: tuple[str, ...] = ()
    cache_prompt: bool = False
    drop_unsupported: bool = False
    stream: bool = True
    reply_id: str = ""
    anyway: bool = False
    prefill: bool = False
    limits: Limits = field(default_factory=Limits)


def target_of(model: str, key: Secret | None = None) -> Target:
    """Return the target of a model name, with `key` or the key of its provider.

    Raises NoModelError, NoKeyError, ConfigError.
    """
    if is_built_in(model):
        return Target(model, model)
    from ..providers.resolve import resolve

    return resolve(model, key)


def choose_model(name: str | None, conversation: Conversation, *, at_endpoint: bool = False) -> str:
    """Return the name of the model: `name`, else the model of the last reply, else LLMTOOLS_MODEL, else
    the configured default, which a given endpoint excludes.

    Raises NoModelError if all are missing, and for a name in the stream that only the user may
    choose: a file of this machine, or an address.
    """
    chosen = name or conversation.model or os.environ.get("LLMTOOLS_MODEL")
    if not chosen and not at_endpoint:
        from ..providers.config import read_config

        chosen = read_config().default_model
    if not chosen:
        way = setting_name("with -m", "in get_model")
        raise NoModelError(f"the model is missing: name it {way}, LLMTOOLS_MODEL, or llm-models default MODEL")
    if not name and chosen == conversation.model and (chosen.startswith(("replay/", "gguf/")) or "://" in chosen):
        raise NoModelError(f"the stream names {chosen}, which only {setting_name('-m', 'get_model')} may name")
    return chosen


def _without(message: Message, calls: list[Part]) -> Message:
    dropped = {call["tool_call_id"] for call in calls}
    parts = [
        part
        for index, part in enumerate(message["parts"])
        if part["type"] != "tool_call" or part.get("tool_call_id", f"~{index}") not in dropped
    ]
    return {**message, "parts": parts}


def drop_incomplete_calls(messages: list[Message]) -> tuple[list[Message], list[Record]]:
    """Return the messages without the unanswered calls of failed replies, and a notice for each call."""
    remaining: list[Message] = []
    notices: list[Record] = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and message.get("response", {}).get("status", "ok") != "ok":
            calls = unanswered_calls(messages, index)
            notices += [notice("dropped_call", f"dropped the incomplete call of {call['name']}") for call in calls]
            message = _without(message, calls)
        remaining.append(message)
    return remaining, notices


def add_missing_results(messages: list[Message]) -> tuple[list[Message], list[Record]]:
    """Return the messages with a result for each call that the conversation passed over, and a notice for
    each: vendors refuse a call without a result. The calls of the last message are still pending."""
    complete: list[Message] = []
    notices: list[Record] = []
    missing: list[Part] = []
    for index, message in enumerate(messages):
        if missing:
            is_tool = message["role"] == "tool"
            found = {**message, "parts": [*message["parts"], *missing]} if is_tool else build_message("tool", *missing)
            complete.append(found)
            missing = []
            if is_tool:
                continue
        complete.append(message)
        if message["role"] == "assistant" and index + 1 < len(messages):
            calls = unanswered_calls(messages, index)
            missing = [_missing_result(call) for call in calls]
            notices += [notice("missing_result", f"the call of {call['name']} was sent as not run") for call in calls]
    return complete, notices


def _missing_result(call: Part) -> Part:
    result = {"type": "tool_result", "name": call["name"], "output": "", "exception": "the call was not run"}
    return {**result, "tool_call_id": call["tool_call_id"]}


def ready_to_send(
    conversation: Conversation, *, anyway: bool = False, prefill: bool = False
) -> tuple[Conversation, list[Record]]:
    """Return the conversation in the form that is sent, and notices of the changes.

    Raises the failure of the stream, except with `anyway`; NoInputError for a conversation without
    content; InputError for one that ends with a message of the model, except with `prefill`, and for
    an attachment whose file has changed.
    """
    failure = conversation.failure
    if failure is not None and not anyway:
        raise from_record(failure)
    messages, notices = drop_incomplete_calls(conversation.messages) if anyway else (conversation.messages, [])
    last = next((message for message in reversed(messages) if message["parts"]), None)
    if last is None:
        raise NoInputError("the stream has no message to answer")
    if last["role"] == "assistant" and not prefill and not is_paused(last):
        way = setting_name("--prefill lets", "llmtools.stream with prefill lets")
        raise InputError(f"the conversation ends with the model's message ({way} the model continue it)")
    messages, more = add_missing_results(with_call_ids(messages))
    notices = [*notices, *more]
    if any("attachment" in part or "attachments" in part for message in messages for part in message["parts"]):
        from ..attachment import with_file_bytes

        messages = with_file_bytes(messages)
    return conversation.with_messages(messages), notices


def dropped_option_notices(names: Iterable[str]) -> list[Record]:
    """Return a notice for each option of a stream that only the user may set."""
    why = "a stream does not set it (-o or config.toml does)"
    return [
        notice("dropped_option", f"the option {name} in the stream was not sent: {why}")
        for name in dict.fromkeys(names)
    ]


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that is ready to be sent.

    notices: the changes. tools: the `tool` records that were added.
    """

    conversation: Conversation
    request: Request
    target: Target
    limits: Limits
    notices: list[Record]
    tools: list[Record]

    def exchange(self, *keepers: Keeper) -> Exchange:
        """Return the exchange that sends it."""
        return Exchange(self.conversation, self.request, self.target.endpoint, self.limits, keepers=keepers)


class Asker:
    """Turns conversations into questions. Each model is resolved once, with or without success.

    resolve: returns the target of a model name, as `target_of` does.
    """

    def __init__(self, options: AskOptions, resolve: Callable[[str, Secret | None], Target] = target_of) -> None:
        self.options = options
        self._resolve = resolve
        self._models: dict[str | None, str] = {}
        self._targets: dict[str, Target | LlmToolsError] = {}

    def target(self, conversation: Conversation) -> Target:
        """Return the target of a conversation. Raises NoModelError, NoKeyError, ConfigError."""
        options, last = self.options, conversation.model
        if last not in self._models:
            at_endpoint = options.endpoint is not None
            self._models[last] = choose_model(options.model, conversation, at_endpoint=at_endpoint)
        model = self._models[last]
        if model not in self._targets:
            try:
                self._targets[model] = self._resolve_model(model)
            except LlmToolsError as error:
                self._targets[model] = error
        target = self._targets[model]
        if isinstance(target, LlmToolsError):
            raise target
        return target

    def _resolve_model(self, model: str) -> Target:
        if self.options.endpoint is None:
            return self._resolve(model, self.options.key)
        from ..providers.address import target_at

        return target_at(self.options.endpoint, model)

    def question(self, conversation: Conversation, own_options: Mapping[str, Any] | None = None) -> Question:
        """Return the question of a conversation. `own_options` are the options of its record;
        AskOptions.options take precedence. Raises the errors of `ready_to_send` and `target`."""
        options = self.options
        ready, notices = ready_to_send(conversation, anyway=options.anyway, prefill=options.prefill)
        target = self.target(conversation)
        tools = self._server_tools(ready, target)
        for tool in tools:
            ready.add(tool)
        own = own_options or {}
        dropped = [*ready.dropped_options(), *(name for name, value in own.items() if not may_set(name, value))]
        notices += dropped_option_notices(name for name in dropped if name not in options.options)
        own = {name: value for name, value in own.items() if name not in dropped}
        model_options = {**own, **options.options}
        settings = {name: getattr(options, name) for name in ("schema", "tool_choice", "reasoning")}
        request = target.request(
            **conversation.answer_settings(model_options, **settings),
            cache_prompt=options.cache_prompt,
            drop_unsupported=options.drop_unsupported,
            stream=options.stream,
            reply_id=options.reply_id,
        )
        return Question(ready, request, target, options.limits, notices, tools)

    def _server_tools(self, ready: Conversation, target: Target) -> list[Record]:
        """Return the records of the server tools that the conversation does not have yet."""
        if not self.options.server_tools:
            return []
        from ..protocols import load
        from ..protocols.server_tools import server_tool_record

        endpoint = target.endpoint
        spec = load(endpoint.protocol).SPEC if endpoint is not None else None
        issuer = endpoint.name if endpoint is not None else ""
        records: list[Record] = [
            dict(server_tool_record(text, spec, issuer, target.quirks)) for text in self.options.server_tools
        ]
        return [record for record in records if ready.tools.get(record["name"]) != record]


def starts_with(messages: list[Message], instructions: str) -> bool:
    """Return whether the first message is a system message with this text."""
    return bool(messages) and messages[0]["role"] == "system" and text_of(messages[0]) == instructions


class RecordAnswer:
    """The answer to a conversation record. `record` is the record with the reply of an exchange, or with
    the error that replaces it."""

    def __init__(self, asker: Asker, record: Record) -> None:
        instructions = asker.options.system
        if instructions is not None and not starts_with(record["messages"], instructions):
            record = {**record, "messages": [build_message("system", instructions), *record["messages"]]}
        self._asker = asker
        self.record = record
        self.conversation = conversation_of(record)
        failure = self.conversation.failure
        self.failure: ErrorRecord | None = None if asker.options.anyway else failure
        """The failure of the record as it came; such a record is not sent."""

    def question(self) -> Question:
        """Return the question of the record. It adds the server tools to `record`, and removes an old error.
        Raises the errors of `Asker.question`."""
        question = self._asker.question(self.conversation, self.record.get("options"))
        record = {name: value for name, value in self.record.items() if name != "error"}
        if question.tools:
            record["tools"] = [*record.get("tools", ()), *question.tools]
        self.record = record
        return question

    def add_reply(self, exchange: Exchange) -> None:
        """Add the replies of an exchange, or its error, to `record`."""
        if exchange.messages:
            self.record = {**self.record, "messages": [*self.record["messages"], *exchange.messages]}
        if exchange.failure is not None:
            self.add_error(exchange.failure)

    def add_error(self, error: LlmToolsError) -> None:
        """Add an error to `record`."""
        failure = {name: value for name, value in error.to_record().items() if name != "type"}
        self.record = {**self.record, "error": failure}


def stream(
    conversation: Conversation | Iterable[Mapping[str, Any]],
    model: str | None = None,
    *,
    endpoint: Endpoint | None = None,
    options: dict[str, Any] | None = None,
    anyway: bool = False,
    prefill: bool = False,
) -> Iterator[Record]:
    """Send a conversation; yield the records of the response as they come.

    `model` is a name such as "echo" or "openai/gpt-5.5"; see `choose_model` for None. At an
    `endpoint` (see `llmtools.providers.at`) it is the name that the server uses.
    Raises the errors of `ready_to_send`, NoModelError, NoKeyError and ConfigError before the first
    record, and the failure of the response after the last one.

        for event in llmtools.stream([llmtools.user("hi")], model="echo"):
            if event["type"] == "text":
                print(event["chunk"], end="")
    """
    if not isinstance(conversation, Conversation):
        conversation = Conversation({**message, "type": "message"} for message in conversation)
    ask_options = AskOptions(model, endpoint, options=options or {}, anyway=anyway, prefill=prefill)
    question = Asker(ask_options).question(conversation)
    exchange = question.exchange()
    yield from question.notices
    for batch in exchange.batches():
        yield from batch
    if exchange.failure is not None:
        raise exchange.failure
