"""A prompt: a conversation to be answered, with its settings.

Rules:
* A prompt is a value: the next turn has another one.
* `PromptArguments` is the one list of keyword arguments, for every method that asks.
* A key is never shown or stored.
* What the model reads is `messages`. The other words of a turn (`prompt`, `attachments` …) are kept as
  they were given, for the `execute` of a model of one's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypedDict

from ..errors import InputError, UsageError
from ..http.endpoint import Secret
from ..http.request import Limits
from ..records.build import deep_copy
from ..records.conversation import Conversation
from .messages import Message
from .options import Options
from .toolbox import Tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..http.endpoint import Endpoint
    from ..protocols.request import Request
    from .calls import ToolResult
    from .files import Attachment
    from .model_ref import ModelRef
    from .toolbox import Given, Tool

SETTINGS = ("tools", "schema", "key", "reasoning", "tool_choice", "stream", "hide_reasoning", "limits")
WORDS = ("messages", "system", "attachments", "fragments", "system_fragments", "tool_results")
STORED = ("schema", "options", "reasoning", "tool_choice")


class Words(TypedDict, total=False):
    """The content of a turn, beside the prompt itself."""

    messages: Conversation | Iterable[Mapping[str, Any]] | None
    system: str | None
    attachments: Sequence[Attachment] | None
    fragments: Sequence[str] | None
    system_fragments: Sequence[str] | None
    tool_results: Sequence[ToolResult] | None


class Settings(TypedDict, total=False):
    """Settings that hold from turn to turn. The last ones are options of the model by their common
    names; others go into `options`."""

    tools: Iterable[Given] | None
    schema: dict[str, Any] | type[Any] | str | None
    options: Mapping[str, Any] | None
    key: str | None
    reasoning: str | None
    tool_choice: str | None
    stream: bool
    hide_reasoning: bool
    limits: Limits
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop: str | Sequence[str]
    seed: int
    presence_penalty: float
    frequency_penalty: float
    parallel_tool_calls: bool
    service_tier: str
    verbosity: str


class PromptArguments(Words, Settings, total=False):
    """Every keyword argument of a prompt."""


def to_schema(given: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of a dict, a pydantic model, or the short form.

    Raises UsageError.
    """
    if given is None or isinstance(given, dict):
        return given
    if hasattr(given, "model_json_schema"):
        schema: dict[str, Any] = given.model_json_schema()
        return schema
    if isinstance(given, str):
        from ..schema import schema_from_text

        return schema_from_text(given)
    raise UsageError(f"schema: {given!r} is not a JSON Schema, a pydantic model or a text")


def schema_dsl(text: str, multi: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of the short form; with `multi` that of a list of such objects, `items`.

    Raises UsageError.

        llmtools.schema_dsl("name, age int, bio: one line")["required"]  # ["name", "age", "bio"]
    """
    from ..schema import schema_from_short_form, schema_of_list

    return schema_of_list(schema_from_short_form(text)) if multi else schema_from_short_form(text)


@dataclass(frozen=True)
class Prompt:
    """A prompt: what is asked, of which model, and how.

    history: the whole conversation, as the model sees it. offered: the tools. words: what was given for
    this turn.

        prompt = llmtools.get_model("echo").prompt("hi", system="Be brief", temperature=0.5).prompt
        [message.role for message in prompt.messages]  # ["system", "user"]
        (prompt.prompt, prompt.system, prompt.options.temperature)  # ("hi", "Be brief", 0.5)
    """

    model: ModelRef
    history: tuple[Message, ...]
    offered: Tools = field(default_factory=Tools)
    schema: dict[str, Any] | None = None
    options: Any = field(default_factory=Options)
    key: Secret | None = None
    reasoning: str | None = None
    tool_choice: str | None = None
    stream: bool = True
    hide_reasoning: bool = False
    limits: Limits = field(default_factory=Limits)
    words: Mapping[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> list[Message]:
        """The whole conversation, as the model sees it."""
        return [*self.history]

    @property
    def prompt(self) -> str:
        """The text of this turn, its fragments first."""
        return joined_text(self.words.get("prompt"), self.fragments)

    @property
    def system(self) -> str:
        """The text of the system message, "" without one."""
        return self.history[0].text if self.history and self.history[0].role == "system" else ""

    @property
    def fragments(self) -> list[str]:
        """The texts that were given before the prompt."""
        return [*(self.words.get("fragments") or ())]

    @property
    def system_fragments(self) -> list[str]:
        """The texts that were given before the system message."""
        return [*(self.words.get("system_fragments") or ())]

    @property
    def attachments(self) -> list[Attachment]:
        """The files that were given with the prompt, and those of the results that it answers with."""
        of_results = [file for result in self.tool_results for file in result.attachments]
        return [*(self.words.get("attachments") or ()), *of_results]

    @property
    def tool_results(self) -> list[ToolResult]:
        """The results of calls that this turn answers with."""
        return [*(self.words.get("tool_results") or ())]

    @property
    def tools(self) -> list[Tool]:
        """The tools that the model is offered."""
        return self.offered.tools()

    @cached_property
    def _history(self) -> Conversation:
        return Conversation(self.history)

    def conversation(self) -> Conversation:
        """Return the conversation, with the tools as they are now."""
        conversation = self._history.with_messages(self._history.messages)
        for record in self.offered.records.values():
            conversation.add(record)
        return conversation

    @property
    def answer_settings(self) -> dict[str, Any]:
        """Options, schema, tool_choice and reasoning: those set here, else those of the `request` of the
        last user message."""
        settings = {"schema": self.schema, "tool_choice": self.tool_choice, "reasoning": self.reasoning}
        return self.conversation().answer_settings(dict(self.options), **settings)

    def request(self) -> tuple[Request, Endpoint | None]:
        """Return the request, and where it is sent (None: a built-in model).

        Raises NoModelError, NoKeyError, ConfigError.
        """
        target = self.model.target(self.key)
        request = target.request(**self.answer_settings, stream=self.stream)
        return request, target.endpoint

    def next_prompt(
        self, history: Iterable[dict[str, Any]], prompt: str | None, arguments: Mapping[str, Any]
    ) -> Prompt:
        """Return the prompt of the next turn: `history`, the user's words, then the messages of `arguments`.
        The settings stay, unless `arguments` has others.

            prompt = llmtools.get_model("echo").prompt("hi").prompt
            prompt.next_prompt(prompt.messages, "more", {}).prompt  # "more"
        """
        content = {name: value for name, value in arguments.items() if name in WORDS and name != "tool_results"}
        rest = content.pop("messages", None)
        opening, words = turn_messages(prompt, **content)
        messages = list(history)
        if opening and messages and messages[0]["role"] == "system":
            messages = messages[1:]
        records = (*opening, *messages, *words, *as_messages(rest))
        settings = _settings(arguments, self)
        turn = replace(self, history=_history_of(records), words=words_of(prompt, arguments), **settings)
        self.model._check(turn)
        return turn

    def with_results(self, results: Sequence[ToolResult]) -> Prompt:
        """Return the prompt with the results of the calls at the end of its messages.

        prompt = llmtools.get_model("echo").prompt("hi").prompt
        prompt.with_results([llmtools.ToolResult("upper", "HI")]).messages[-1].role  # "tool"
        """
        from .messages import tool_message

        history = _history_of((*self.history, deep_copy(tool_message(*results))))
        return replace(self, history=history, words={"tool_results": results})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without its key."""
        messages = [{name: value for name, value in each.items() if name != "type"} for each in self.history]
        settings = {"tools": list(self.offered.records.values()), **{name: getattr(self, name) for name in STORED}}
        settings["options"] = {name: value for name, value in dict(self.options).items() if value is not None}
        data: dict[str, Any] = deep_copy(
            {"messages": messages, **{name: value for name, value in settings.items() if value}}
        )
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], model: ModelRef) -> Prompt:
        """Return the prompt that `to_dict` returned as a dict. Raises InputError.

        prompt = llmtools.get_model("echo").prompt("hi").prompt
        llmtools.Prompt.from_dict(prompt.to_dict(), prompt.model).messages[0].text  # "hi"
        """
        from ..records.check import check_record

        if not isinstance(data, Mapping):
            raise InputError("prompt: must be an object")
        settings = {name: data[name] for name in STORED if name in data}
        tools = data.get("tools", [])
        message = {"role": "user", "parts": [], "request": settings}
        check_record({"type": "conversation", "messages": [message], "tools": tools})
        settings["options"] = model._options_of(settings.get("options", {}))
        return cls(model, _history_of(as_messages(data.get("messages", ()))), Tools(tools), **settings)


def _history_of(records: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    return tuple([each if isinstance(each, Message) else Message.from_dict(each) for each in records])


def words_of(prompt: str | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given for a turn, without its messages."""
    return {"prompt": prompt, **{name: arguments[name] for name in WORDS[1:] if name in arguments}}


def joined_text(prompt: str | None, fragments: Iterable[str]) -> str:
    """Return a prompt with fragments before it, each on a line of its own."""
    return "\n".join([*map(str, fragments), *([prompt] if prompt else [])])


def as_messages(messages: Conversation | Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """Return messages as records: also those without a type, and those with `content` instead of parts.

    Raises InputError for what is not a message.
    """
    from ..records.check import check_record
    from ..records.jsonl import with_type

    records = []
    given: Any = messages.messages if isinstance(messages, Conversation) else messages or ()
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise InputError(f"messages: must be a list of messages, not {given!r}")
    for place, each in enumerate(given):
        if not isinstance(each, Mapping):
            raise InputError(f"messages[{place}]: must be a message, not {each!r}")
        record = deep_copy(dict(each))
        record = with_type(record) or record
        try:
            check_record(record)
        except InputError as error:
            raise InputError(f"messages[{place}]: {error.message}") from None
        if record["type"] != "message":
            raise InputError(f"messages[{place}]: a record of type {record['type']} is not a message")
        records.append(record)
    return records


def _settings(given: Mapping[str, Any], before: Prompt) -> dict[str, Any]:
    """Return the settings among keyword arguments. A name that is neither a setting nor content is an option."""
    settings = {name: value for name, value in given.items() if name in SETTINGS}
    others = {name: value for name, value in given.items() if name not in (*SETTINGS, *WORDS, "options")}
    if others or "options" in given:
        options = dict(before.options) if given.get("options") is None else {}
        settings["options"] = before.model._options_of({**options, **(given.get("options") or {}), **others})
    if "tools" in settings:
        settings["offered"] = Tools(settings.pop("tools") or ())
    if "schema" in settings:
        settings["schema"] = to_schema(settings["schema"])
    if "key" in settings:
        settings["key"] = Secret(settings["key"]) if settings["key"] else None
    return settings


def turn_messages(
    prompt: str | None,
    *,
    messages: Any = (),
    system: str | None = None,
    attachments: Any = (),
    fragments: Any = (),
    system_fragments: Any = (),
    tool_results: Any = (),
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the system message, if there is one, and the messages after it: `messages`, the results
    of tools, and `prompt` with `fragments` before it and `attachments`."""
    from .messages import system as system_message
    from .messages import tool_message, user

    rules = [*(system_fragments or ()), *([system] if system else [])]
    opening = [deep_copy(system_message("\n\n".join(rules)))] if rules else []
    content = as_messages(messages)
    if tool_results:
        content.append(deep_copy(tool_message(*tool_results)))
    text = joined_text(prompt, fragments or ())
    if text or attachments:
        content.append(deep_copy(user(*([text] if text else []), *(attachments or ()))))
    return opening, content


def build_prompt(model: ModelRef, prompt: str | None, arguments: Mapping[str, Any]) -> Prompt:
    """Return a prompt from its content and settings.

    Raises UsageError where there is nothing to ask, and InputError for what is not a message.
    """
    messages = arguments.get("messages")
    if isinstance(messages, Conversation) and messages.tools:
        arguments = {**arguments, "tools": [*messages.tools.values(), *(arguments.get("tools") or ())]}
    opening, words = turn_messages(prompt, **{name: value for name, value in arguments.items() if name in WORDS})
    if not words:
        raise UsageError("nothing to ask: give a prompt, messages or attachments")
    blank = Prompt(
        model, _history_of((*opening, *words)), options=model._options_of({}), words=words_of(prompt, arguments)
    )
    whole = replace(blank, **_settings(arguments, blank))
    model._check(whole)
    return whole
