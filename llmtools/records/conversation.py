"""A conversation, made of records: its messages, tools, last model and pending calls.

Rules:
* `message` and `tool` records make the conversation. Events only tell whether a response is complete.
* A stream sets options by their common names only. A vendor's own field of a request, which could send
  the conversation elsewhere or replace it, is the user's to set.
"""

from __future__ import annotations

from .state import StreamState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .types import (
        Message,
        Part,
        Record,
        ToolRecord,
        Usage,
    )

NAMES = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "service_tier",
    "verbosity",
)
"""The common names of options."""
ANSWER_OPTIONS = ("reasoning_effort", "reasoning_summary", "json_object")
"""Common names of options that each protocol expresses in its own way. The first is the field `reasoning`
of a request; `Builder` has the others."""
_ANSWER_SETTINGS = ("schema", "tool_choice", "reasoning")


def may_set(name: str, value: Any) -> bool:
    """Return whether a stream may set an option: by a common name, and not to an object."""
    return name in (*NAMES, *ANSWER_OPTIONS) and not isinstance(value, dict)


def text_of(message: Message) -> str:
    """Return the text of a message: its text parts, joined, without those of the phase `commentary`."""
    return "".join(
        [part["text"] for part in message["parts"] if part["type"] == "text" and part.get("phase") != "commentary"]
    )


def total_usage(messages: Iterable[Mapping[str, Any]]) -> Usage:
    """Return the sums of the token counts of all messages. A count that every response lacks is absent."""
    total: dict[str, int] = {}
    details: dict[str, int] = {}
    for message in messages:
        usage = message.get("response", {}).get("usage", {})
        for name in ("input", "output"):
            if name in usage:
                total[name] = total.get(name, 0) + usage[name]
        for name, count in usage.get("details", {}).items():
            details[name] = details.get(name, 0) + count
    return {**total, "details": details} if details else {**total}  # type: ignore[typeddict-item]


class Conversation(StreamState):
    """The state, the messages and the tools of a stream. `add` takes its records in order.

    messages: the `message` records; tools: the last `tool` record of each name.

        conversation = llmtools.Conversation.from_records([llmtools.system("Be brief"), llmtools.user("hi")])
        longer = conversation.with_appended(llmtools.assistant("ho"), llmtools.user("more"))
        len(conversation.messages)  # 2
        llmtools.get_model("echo").prompt(messages=longer).text()  # "more"
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.tools: dict[str, ToolRecord] = {}
        for record in records:
            self.add(record)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Conversation:
        """Return the conversation of records, which are copied."""
        from .build import deep_copy

        return cls(deep_copy(dict(record)) for record in records)

    def records(self) -> list[Record]:
        """Return copies of the tools and the messages."""
        from .build import deep_copy

        return [deep_copy(record) for record in (*self.tools.values(), *self.messages)]

    def with_appended(self, *messages: Mapping[str, Any]) -> Conversation:
        """Return a longer conversation, which ends with these messages; this one stays as it is."""
        added = ({"type": "message", **each} for each in messages)
        return Conversation.from_records([*self.tools.values(), *self.messages, *added])

    appended = with_appended

    def add(self, record: Record) -> None:
        """Take the next record.

        conversation = llmtools.Conversation()
        conversation.add(llmtools.user("hi"))
        """
        kind = record["type"]
        if kind == "message":
            self.messages.append(record)  # type: ignore[arg-type]
        elif kind == "tool":
            self.tools[record["name"]] = record  # type: ignore[assignment]
        super().add(record)

    def with_messages(self, messages: list[Message]) -> Conversation:
        """Return this conversation with other messages: its tools and its state are the same.

        conversation = llmtools.Conversation([llmtools.user("hi"), llmtools.assistant("ho")])
        len(conversation.with_messages(conversation.messages[:1]).messages)  # 1
        """
        other = Conversation()
        other.__dict__.update(self.__dict__)
        other.messages, other.tools = messages, dict(self.tools)
        return other

    @property
    def model(self) -> str | None:
        """The model of the last reply, or the model that a later user message asks for."""
        for message in reversed(self.messages):
            field = {"assistant": "response", "user": "request"}.get(message["role"], "")
            model = message.get(field, {}).get("model")
            if model:
                return str(model)
        return None

    @property
    def request(self) -> dict[str, Any]:
        """How the last user message asks to be answered: model, options, schema, tool_choice, reasoning."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                request = message.get("request", {})
                return {name: request[name] for name in ("model", "options", *_ANSWER_SETTINGS) if name in request}
        return {}

    def dropped_options(self) -> list[str]:
        """Return the names of the options in the request of the last user message that a stream may not set."""
        return [name for name, value in self.request.get("options", {}).items() if not may_set(name, value)]

    def answer_settings(self, options: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        """Return options, schema, tool_choice and reasoning for the answer: the given values, else those
        that the last user message asks for and may set.

            message = {**llmtools.user("hi"), "request": {"reasoning": "low", "options": {"seed": 1}}}
            llmtools.Conversation([message]).answer_settings({"seed": 2})["options"]  # {"seed": 2}
        """
        request = self.request
        settings = {name: given.get(name) or request.get(name) for name in _ANSWER_SETTINGS}
        wanted = {name: value for name, value in request.get("options", {}).items() if may_set(name, value)}
        return {"options": {**wanted, **options}, **settings}

    asked = answer_settings

    @property
    def reply(self) -> list[Message]:
        """The assistant messages after the last user message."""
        replies: list[Message] = []
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            if message["role"] == "assistant":
                replies.insert(0, message)
        return replies

    def pending_calls(self) -> list[Part]:
        """Return the calls of the last assistant message that have no result. A last call without
        arguments gets an `exception` if the message reached its length limit: the arguments may be
        cut off."""
        for place in range(len(self.messages) - 1, -1, -1):
            if self.messages[place]["role"] == "assistant":
                return [_mark_if_cut(call, self.messages[place]) for call in unanswered_calls(self.messages, place)]
        return []


def unanswered_calls(messages: list[Message], place: int) -> list[Part]:
    """Return the calls of the message at `place` that have no result before the next assistant message,
    each with its id (`~N` for a call without one).

    A call that the provider runs itself is not among them.
    """
    answered: set[str] = set()
    for message in with_call_ids(messages[place:])[1:]:
        if message["role"] == "assistant":
            break
        answered.update(part.get("tool_call_id", "") for part in message["parts"] if part["type"] == "tool_result")
    return [call for call in _calls_of(messages[place]) if call["tool_call_id"] not in answered]


def _mark_if_cut(call: Part, message: Message) -> Part:
    is_last = message["parts"][-1]["type"] == "tool_call" and call == _calls_of(message)[-1]
    if call["arguments"] or not is_last or message.get("response", {}).get("finish_reason") != "length":
        return call
    return {"exception": "the reply reached its length limit, perhaps in this call", **call}


def _calls_of(message: Message) -> list[Part]:
    """Return the calls that the provider does not run itself, each with its id."""
    return [
        {**part, "tool_call_id": part.get("tool_call_id", f"~{index}")}
        for index, part in enumerate(message["parts"])
        if part["type"] == "tool_call" and not part.get("server_executed")
    ]


def _lacks_call_id(part: Part) -> bool:
    return part["type"] == "tool_result" and not part.get("tool_call_id") and not part.get("server_executed")


def with_call_ids(messages: list[Message]) -> list[Message]:
    """Return the messages with a call id in every result: a result without one gets the id of the first
    call of its name that has no result."""
    if not any(_lacks_call_id(part) for message in messages for part in message["parts"]):
        return messages
    matched: list[Message] = []
    calls: list[Part] = []
    for message in messages:
        if message["role"] == "assistant":
            calls = _calls_of(message)
        else:
            answered = {part.get("tool_call_id") for part in message["parts"] if part["type"] == "tool_result"}
            calls = [call for call in calls if call["tool_call_id"] not in answered]
            message = {**message, "parts": [_with_call_id(part, calls) for part in message["parts"]]}
        matched.append(message)
    return matched


def _with_call_id(part: Part, calls: list[Part]) -> Part:
    """Return a part with the id of its call, and remove that call from `calls`."""
    for call in calls if _lacks_call_id(part) else ():
        if call["name"] == part["name"]:
            calls.remove(call)
            return {**part, "tool_call_id": call["tool_call_id"]}
    return part


def conversation_of(record: Record) -> Conversation:
    """Return the conversation of a `conversation` record."""
    conversation = Conversation()
    for tool in record.get("tools", ()):
        conversation.add({**tool, "type": "tool"})
    for message in record["messages"]:
        conversation.add({**message, "type": "message"})
    if "error" in record:
        default = {"code": "failed", "message": "the conversation failed", "exit_status": 1}
        conversation.add({**default, **record["error"], "type": "error"})
    return conversation
