"""A prompt: a conversation to be answered, with its settings.

Rules:
* A prompt is a value: the next turn has another one.
* `PromptArguments` is the one list of keyword arguments, for every method that asks.
* A key is never shown or stored.
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
from .toolbox import Tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..http.endpoint import Endpoint
    from ..protocols.request import Request
    from .messages import Attachment, ToolResult
    from .model_ref import ModelRef
    from .toolbox import Given

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
    """A prompt. `messages` is the whole conversation, as the model sees it."""

    model: ModelRef
    messages: tuple[dict[str, Any], ...]
    tools: Tools = field(default_factory=Tools)
    schema: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    key: Secret | None = None
    reasoning: str | None = None
    tool_choice: str | None = None
    stream: bool = True
    hide_reasoning: bool = False
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def _history(self) -> Conversation:
        return Conversation(self.messages)

    def conversation(self) -> Conversation:
        """Return the conversation, with the tools as they are now."""
        conversation = self._history.with_messages(self._history.messages)
        for record in self.tools.records.values():
            conversation.add(record)
        return conversation

    @property
    def answer_settings(self) -> dict[str, Any]:
        """Options, schema, tool_choice and reasoning: those set here, else those of the `request` of the
        last user message."""
        settings = {"schema": self.schema, "tool_choice": self.tool_choice, "reasoning": self.reasoning}
        return self.conversation().answer_settings(self.options, **settings)

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
        The settings stay, unless `arguments` has others."""
        content = {name: value for name, value in arguments.items() if name in WORDS and name != "tool_results"}
        rest = content.pop("messages", None)
        opening, words = turn_messages(prompt, **content)
        messages = list(history)
        if opening and messages and messages[0]["role"] == "system":
            messages = messages[1:]
        return replace(self, messages=(*opening, *messages, *words, *as_messages(rest)), **_settings(arguments, self))

    def with_results(self, results: Sequence[ToolResult]) -> Prompt:
        """Return the prompt with the results of the calls at the end of its messages."""
        from .messages import tool_message

        return replace(self, messages=(*self.messages, deep_copy(tool_message(*results))))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without its key."""
        messages = [{name: value for name, value in each.items() if name != "type"} for each in self.messages]
        settings = {"tools": list(self.tools.records.values()), **{name: getattr(self, name) for name in STORED}}
        data: dict[str, Any] = deep_copy(
            {"messages": messages, **{name: value for name, value in settings.items() if value}}
        )
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], model: ModelRef) -> Prompt:
        """Return the prompt that `to_dict` returned as a dict. Raises InputError."""
        from ..records.check import check_record

        if not isinstance(data, Mapping):
            raise InputError("prompt: must be an object")
        settings = {name: data[name] for name in STORED if name in data}
        tools = data.get("tools", [])
        message = {"role": "user", "parts": [], "request": settings}
        check_record({"type": "conversation", "messages": [message], "tools": tools})
        return cls(model, tuple(as_messages(data.get("messages", ()))), Tools(tools), **settings)


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


def _settings(given: Mapping[str, Any], before: Prompt | None = None) -> dict[str, Any]:
    """Return the settings among keyword arguments. A name that is neither a setting nor content is an option."""
    settings = {name: value for name, value in given.items() if name in SETTINGS}
    others = {name: value for name, value in given.items() if name not in (*SETTINGS, *WORDS, "options")}
    if others or "options" in given:
        options = before.options if before is not None and given.get("options") is None else {}
        settings["options"] = {**options, **(given.get("options") or {}), **others}
    if "tools" in settings:
        settings["tools"] = Tools(settings["tools"] or ())
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
    texts = [*(fragments or ()), *([prompt] if prompt else [])]
    if texts or attachments:
        text = ["\n\n".join(texts)] if texts else []
        content.append(deep_copy(user(*text, *(attachments or ()))))
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
    return replace(Prompt(model, (*opening, *words)), **_settings(arguments))
