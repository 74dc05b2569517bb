"""Records to conversation: the messages, the tools, the last model, the pending calls.

Rule: history records are the conversation. Events only show whether a response is whole.
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

_ANSWER = ("schema", "tool_choice", "reasoning")


def text_of(message: Message) -> str:
    """Return the text of a message: its text parts, joined; where the vendor tells
    commentary from answer, the answer."""
    return "".join(
        [part["text"] for part in message["parts"] if part["type"] == "text" and part.get("phase") != "commentary"]
    )


def total_usage(messages: Iterable[Mapping[str, Any]]) -> Usage:
    """Return the tokens of the responses of all messages together; counts that no response has are absent."""
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
    """A stream so far: its state, its messages and its tools. `add` takes its records in order.

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
        """Return the conversation that records make; what is changed in them later changes nothing in it."""
        from .build import deep_copy

        return cls(deep_copy(dict(record)) for record in records)

    def records(self) -> list[Record]:
        """Return the tools and the messages as records, which are the caller's own."""
        from .build import deep_copy

        return [deep_copy(record) for record in (*self.tools.values(), *self.messages)]

    def with_appended(self, *messages: Mapping[str, Any]) -> Conversation:
        """Return a conversation that goes on with these messages; this one stays as it is."""
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
        """The model of the last reply, as a name that resolves again; after it the one that a
        message asks for."""
        for message in reversed(self.messages):
            told = {"assistant": "response", "user": "request"}.get(message["role"], "")
            model = message.get(told, {}).get("model")
            if model:
                return str(model)
        return None

    @property
    def request(self) -> dict[str, Any]:
        """How the last user message asks to be answered: model, options, schema, tool_choice, reasoning."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                asked = message.get("request", {})
                return {name: asked[name] for name in ("model", "options", *_ANSWER) if name in asked}
        return {}

    def answer_settings(self, options: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        """Return options, schema, tool_choice and reasoning for the answer: what is given, else what
        the last user message asks for.

            message = {**llmtools.user("hi"), "request": {"reasoning": "low", "options": {"seed": 1}}}
            llmtools.Conversation([message]).answer_settings({"seed": 2})["options"]  # {"seed": 2}
        """
        request = self.request
        settings = {name: given.get(name) or request.get(name) for name in _ANSWER}
        return {"options": {**request.get("options", {}), **options}, **settings}

    asked = answer_settings

    @property
    def reply(self) -> list[Message]:
        """Every assistant message after the last user message."""
        found: list[Message] = []
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            if message["role"] == "assistant":
                found.insert(0, message)
        return found

    def pending_calls(self) -> list[Part]:
        """Return the calls of the last assistant message that no tool message answers. One that the
        limit of length may have cut off before its arguments has an `exception`: it looks as if
        there were none."""
        for place in range(len(self.messages) - 1, -1, -1):
            if self.messages[place]["role"] == "assistant":
                return [_mark_if_cut(call, self.messages[place]) for call in unanswered(self.messages, place)]
        return []


def unanswered(messages: list[Message], place: int) -> list[Part]:
    """Return the tool calls of the message at `place` that no tool message between it and
    the next assistant message answers, each with its id (`~N` where it has none).

    A call that the provider runs itself is never pending.
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
    return {"exception": "the reply ended at its length limit, perhaps in this call", **call}


def _calls_of(message: Message) -> list[Part]:
    """Return the calls that are not the provider's own, each with its id."""
    return [
        {**part, "tool_call_id": part.get("tool_call_id", f"~{index}")}
        for index, part in enumerate(message["parts"])
        if part["type"] == "tool_call" and not part.get("server_executed")
    ]


def _is_nameless(part: Part) -> bool:
    return part["type"] == "tool_result" and not part.get("tool_call_id") and not part.get("server_executed")


def with_call_ids(messages: list[Message]) -> list[Message]:
    """Return the messages, each result with the id of the call that it answers: one that has none
    answers the first call of its name that is open."""
    if not any(_is_nameless(part) for message in messages for part in message["parts"]):
        return messages
    found: list[Message] = []
    calls: list[Part] = []
    for message in messages:
        if message["role"] == "assistant":
            calls = _calls_of(message)
        else:
            named = {part.get("tool_call_id") for part in message["parts"] if part["type"] == "tool_result"}
            calls = [call for call in calls if call["tool_call_id"] not in named]
            message = {**message, "parts": [_answering(part, calls) for part in message["parts"]]}
        found.append(message)
    return found


def _answering(part: Part, calls: list[Part]) -> Part:
    """Return a part with the id of its call, which is open no more."""
    for call in calls if _is_nameless(part) else ():
        if call["name"] == part["name"]:
            calls.remove(call)
            return {**part, "tool_call_id": call["tool_call_id"]}
    return part


def conversation_of(record: Record) -> Conversation:
    """Return the stream of its own that a `conversation` record is."""
    conversation = Conversation()
    for tool in record.get("tools", ()):
        conversation.add({**tool, "type": "tool"})
    for message in record["messages"]:
        conversation.add({**message, "type": "message"})
    if "error" in record:
        unnamed = {"code": "failed", "message": "the conversation failed", "exit_status": 1}
        conversation.add({**unnamed, **record["error"], "type": "error"})
    return conversation
