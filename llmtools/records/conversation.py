"""Records to conversation: messages, tools, the last model, pending calls, and whether
the stream has failed.

Rules:
* History records are the conversation; events only tell whether a response is whole.
* A stream has failed if its last response did, or if an `error` stands after its last
  complete message. A later complete reply heals it; a complete message needs no `end`.
  A reply that paused is not complete: what continues it heals it.
* Of several failures the first counts: it is what an exit status tells.
"""

from __future__ import annotations

from ..errors import TruncatedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .types import (
        ErrorRecord,
        Message,
        Part,
        Record,
        ToolRecord,
    )

HISTORY = frozenset(("message", "tool", "conversation"))
_ANSWER = ("schema", "tool_choice", "reasoning")
_STATUS_CODE = {
    "ok": ("paused", "the model paused and did not go on", 75),
    "cancelled": ("cancelled", "the reply was cancelled", 75),
    "truncated": ("truncated", "the reply was cut off", 75),
    "error": ("failed", "the reply failed", 1),
}


def plain(value: Any) -> Any:
    """Return a value with plain dicts and lists of its own in the place of those that it has."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def text_of(message: Message) -> str:
    """Return the text of a message: its text parts, joined; where the vendor tells
    commentary from answer, the answer."""
    return "".join(
        [part["text"] for part in message["parts"] if part["type"] == "text" and part.get("phase") != "commentary"]
    )


def is_paused(message: Message) -> bool:
    """Whether the model paused in the message: what continues it is the model's too."""
    return message.get("response", {}).get("finish_reason") == "pause"


def _has_failed(outcome: Mapping[str, Any]) -> bool:
    return outcome.get("status", "ok") != "ok" or outcome.get("finish_reason") == "pause"


def _failure_of(outcome: Record, error: Record | None) -> ErrorRecord:
    """Return the `error` record that an `end` or a message's `response` stands for."""
    status = outcome.get("status", "ok")
    code, message, exit_status = _STATUS_CODE[status]
    said = {"code": code, "message": message, **(error or {})}
    said["exit_status"] = outcome.get("exit_status", exit_status)
    return {"type": "error", **said}  # type: ignore[typeddict-item]


class Conversation:
    """What a stream says so far. `add` takes its records in order.

    messages: the `message` records; tools: the last `tool` record of each name;
    conversations: how many `conversation` records came (each is a stream of its own).

        conversation = llmtools.Conversation.from_records([llmtools.system("Be brief"), llmtools.user("hi")])
        longer = conversation.appended(llmtools.assistant("ho"), llmtools.user("more"))
        len(conversation.messages)  # 2
        llmtools.get_model("echo").prompt(messages=longer).text()  # "more"
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.messages: list[Message] = []
        self.tools: dict[str, ToolRecord] = {}
        self.conversations: int = 0
        self.is_open: bool = False
        self._failed_role = "assistant"
        self._failures: dict[str, ErrorRecord] = {}
        for record in records:
            self.add(record)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Conversation:
        """Return the conversation that records make; what is changed in them later changes nothing in it."""
        return cls(plain(dict(record)) for record in records)

    def records(self) -> list[Record]:
        """Return the tools and the messages as records, which are the caller's own."""
        return [plain(record) for record in (*self.tools.values(), *self.messages)]

    def appended(self, *messages: Mapping[str, Any]) -> Conversation:
        """Return a conversation that goes on with these messages; this one stays as it is."""
        added = ({"type": "message", **each} for each in messages)
        return Conversation.from_records([*self.tools.values(), *self.messages, *added])

    def add(self, record: Record) -> None:
        """Take the next record.

        conversation = llmtools.Conversation()
        conversation.add(llmtools.user("hi"))
        """
        kind = record["type"]
        if "part_index" in record or kind == "reset":
            self.is_open = True
        elif kind == "message":
            self._add_message(record)  # type: ignore[arg-type]
        elif kind == "start":
            self.is_open = True
            self._failures.pop("response", None)
            self._failed_role = record.get("role", "assistant")
        elif kind == "end":
            if _has_failed(record):
                self._fail("response", _failure_of(record, None))
        elif kind == "error":
            self._fail("response" if self.is_open else "outside", record)  # type: ignore[arg-type]
        elif kind == "tool":
            self.tools[record["name"]] = record  # type: ignore[assignment]
        elif kind == "conversation":
            self.conversations += 1

    def _add_message(self, message: Message) -> None:
        self.messages.append(message)
        response = message.get("response", {})
        role = message["role"]
        if role in ("assistant", "tool"):
            self.is_open = False
        if _has_failed(response):
            self._failed_role = role
            self._fail("response", _failure_of(response, response.get("error")))  # type: ignore[arg-type]
            return
        self._failures.pop("outside", None)
        if role in ("assistant", self._failed_role):
            self._failures.pop("response", None)

    def _fail(self, where: str, failure: ErrorRecord) -> None:
        if not 0 < failure["exit_status"] < 256:  # no status of a process, or none that says failure
            failure = {**failure, "exit_status": 1}
        self._failures.setdefault(where, failure)

    @property
    def failure(self) -> ErrorRecord | None:
        """What failed first, as the `error` record that tells it; None where nothing did.
        It is meant to be asked at the end of the stream: a response still open is cut off."""
        for failure in self._failures.values():
            return failure
        return TruncatedError("the reply was cut off").to_record() if self.is_open else None

    @property
    def is_failing(self) -> bool:
        """Whether the stream has failed, if it ended here."""
        return self.is_open or bool(self._failures)

    @property
    def has_history(self) -> bool:
        """Whether any message or tool came."""
        return bool(self.messages or self.tools)

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

    def asked(self, options: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        """Return how it is to be answered: as is given, and where nothing is given as the last
        user message asks.

            said = {**llmtools.user("hi"), "request": {"reasoning": "low", "options": {"seed": 1}}}
            llmtools.Conversation([said]).asked({"seed": 2})["options"]  # {"seed": 2}
        """
        said = self.request
        settled = {name: given.get(name) or said.get(name) for name in _ANSWER}
        return {"options": {**said.get("options", {}), **options}, **settled}

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
                return [_doubted(call, self.messages[place]) for call in unanswered(self.messages, place)]
        return []


def unanswered(messages: list[Message], place: int) -> list[Part]:
    """Return the tool calls of the message at `place` that no tool message between it and
    the next assistant message answers, each with its id (`~N` where it has none).

    A call that the provider runs itself is never pending.
    """
    answered: set[str] = set()
    for message in matched(messages[place:])[1:]:
        if message["role"] == "assistant":
            break
        answered.update(part.get("tool_call_id", "") for part in message["parts"] if part["type"] == "tool_result")
    return [call for call in _calls_of(messages[place]) if call["tool_call_id"] not in answered]


def _doubted(call: Part, message: Message) -> Part:
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


def matched(messages: list[Message]) -> list[Message]:
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


def from_record(record: Record) -> Conversation:
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
