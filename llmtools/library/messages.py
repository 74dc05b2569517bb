"""Messages, events and usage as objects, and the functions that make messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .calls import ToolResult
from .files import Attachment
from .parts import AttachmentPart, Part, TextPart
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self, TypeAlias

    Item: TypeAlias = str | Mapping[str, Any] | ToolResult | Sequence["Item"]


class Message(Value):
    """A message: `role`, `parts`, and for a reply `response`: how it came about.

    message = llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    [part.type for part in message.parts]  # ["text", "attachment"]
    """

    __slots__ = ()

    role: str = ""
    response: dict[str, Any] | None = None
    provider_metadata: dict[str, Any] | None = None

    def __init__(
        self, role: str, parts: Iterable[Mapping[str, Any]] = (), provider_metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__({"type": "message", "role": role, "parts": _as_parts(parts)})
        if provider_metadata:
            self["provider_metadata"] = provider_metadata

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the message of a dict: `llmtools.Message.from_dict(json.loads(line))`."""
        message = super().from_dict(record)
        message["parts"] = _as_parts(record.get("parts", ()))
        return message

    @property
    def parts(self) -> list[Part]:
        """The parts, in order. A change of a part changes the message."""
        parts: list[Part] = self["parts"]
        return parts

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join([part.text for part in self.parts if part.type == "text"])


def _as_parts(records: Iterable[Mapping[str, Any]]) -> list[Part]:
    return [part if isinstance(part, Part) else Part.from_dict(part) for part in records]


class Event(Value):
    """An event of a response, as it comes, or as the `execute` of a model yields it: `type`, `chunk`,
    `part_index` and more. `StreamEvent` is another name of this class.

    text, reasoning, refusal: `chunk`; tool_call_name and tool_call_args: `chunk`, `tool_call_id`;
    start, end, notice, error: see llm-stream(5). `part_index` is None for an event of the whole response.

        for event in llmtools.get_model("echo").prompt("hi").stream_events():
            if event.type == "text":
                print(event.chunk, end="")
    """

    __slots__ = ()

    type: str = ""
    chunk: str = ""
    part_index: int | None = None
    tool_call_id: str | None = None
    server_executed: bool = False
    tool_name: str | None = None
    redacted: bool = False
    provider_metadata: dict[str, Any] | None = None
    message_index: int = 0
    response_id: str | None = None
    model: str | None = None
    status: str | None = None
    finish_reason: str | None = None
    message: str | None = None
    code: str | None = None

    def __init__(
        self,
        type: str,
        chunk: str = "",
        part_index: int | None = None,
        tool_call_id: str | None = None,
        server_executed: bool = False,
        tool_name: str | None = None,
        redacted: bool = False,
        provider_metadata: dict[str, Any] | None = None,
        message_index: int = 0,
    ) -> None:
        flags = {"server_executed": server_executed, "redacted": redacted, "message_index": message_index}
        texts = {"tool_call_id": tool_call_id, "tool_name": tool_name, "provider_metadata": provider_metadata}
        super().__init__(type=type, chunk=chunk)
        if part_index is not None:
            self["part_index"] = part_index
        self.update({name: value for name, value in (flags | texts).items() if value})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: `input` is all that the model read, `output` all that it wrote; `details` say
    how many of them were cached, reasoning, and so on.

        llmtools.get_model("echo").prompt("hi").usage()  # Usage(input=1, output=1, details={})
    """

    input: int | None = None
    output: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def parts_of(*items: Any) -> list[dict[str, Any]]:
    """Return texts, parts, attachments, results and lists of these as parts. Raises TypeError."""
    parts: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, str):
            parts.append(TextPart(item))
        elif isinstance(item, Attachment):
            parts.append(AttachmentPart(item))
        elif isinstance(item, ToolResult):
            parts.append(item.part())
        elif isinstance(item, dict) and "type" in item and "role" not in item:
            parts.append(item)
        elif isinstance(item, (list, tuple)):
            parts += parts_of(*item)
        else:
            raise TypeError(f"not a part of a message: {item!r}")
    return parts


def user(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a user message of texts, attachments and parts.

    Raises TypeError for what is none of them.

        llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    """
    return Message("user", parts_of(*items), provider_metadata)


def system(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a system message.

    llmtools.system("Answer in one word.")
    """
    return Message("system", parts_of(*items), provider_metadata)


def assistant(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return an assistant message: a reply of a model.

    llmtools.assistant("Paris")
    """
    return Message("assistant", parts_of(*items), provider_metadata)


def tool_message(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a tool message: the results of calls (`ToolResult`, or parts).

    llmtools.tool_message(llmtools.ToolResult("upper", "PANDA", tool_call_id="call_1"))
    """
    return Message("tool", parts_of(*items), provider_metadata)
