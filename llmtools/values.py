"""What a program handles: records with names for their fields, calls, results, usage, attachments.

A `Message`, `Part`, `Event` or `Attachment` is the dict that stands in the stream, whose fields
can be read as attributes too: `event.type`, `message.parts[0].text`. They are equal where the
dicts are, and go into `json.dumps` as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .attachment import data_of, from_bytes, from_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from . import types


class Value(dict[str, Any]):
    """A record whose fields are attributes too; one that is not there is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict of it, which JSON can hold."""
        return dict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        return cls(record)


class Part(Value):
    """A part of a message: `type`, and `text`, `name`, `arguments`, `output` … as its type has."""

    @property
    def type(self) -> str:
        """The type: text, reasoning, tool_call, tool_result, attachment, refusal, or a vendor's own."""
        return str(self.get("type", ""))

    @property
    def text(self) -> str:
        """The text of a text, reasoning or refusal part, "" for another."""
        return str(self.get("text", ""))


class Message(Value):
    """A message: `role`, `parts`, and for a reply `response`."""

    @property
    def role(self) -> str:
        """system, user, assistant or tool."""
        return str(self["role"])

    @property
    def parts(self) -> list[Part]:
        """The parts, in order."""
        return [part if isinstance(part, Part) else Part(part) for part in self["parts"]]

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join([part.text for part in self.parts if part.type == "text"])


class Event(Value):
    """An event of a response, as it comes: `type`, `chunk`, `part_index` and more."""

    @property
    def type(self) -> str:
        """The type: text, reasoning, tool_call_name, tool_call_args, tool_result, start, end …"""
        return str(self["type"])

    @property
    def chunk(self) -> str:
        """The piece of text that it adds, "" where it adds none."""
        return str(self.get("chunk", ""))

    @property
    def part_index(self) -> int | None:
        """The place of its part in the message, None for an event of the whole response."""
        return self.get("part_index")


class Attachment(Value):
    """A file for a message, or one that the model made: `type` (MIME), and bytes or a URL.

    Of `path`, `content` (bytes) and `url` one is given; a path is read at once, and the type
    is found from the bytes. Raises NoInputError for a file that cannot be read.

        llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    """

    def __init__(
        self,
        record: types.Attachment | None = None,
        *,
        type: str | None = None,
        path: str | None = None,
        url: str | None = None,
        content: bytes | None = None,
    ) -> None:
        made: Any = record or {}
        if path is not None:
            made = from_file(path, mime=type)
        elif content is not None:
            made = from_bytes(content, mime=type)
        elif url is not None:
            made = {"url": url, **({"type": type} if type else {})}
        super().__init__(made)

    def content_bytes(self) -> bytes | None:
        """Return the bytes; None where there is only a URL or a file of the vendor's."""
        return data_of(self)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model makes and that is ours to run."""

    name: str
    arguments: dict[str, Any]
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call brought: `output` for the model to read, and `exception` where it failed."""

    name: str
    output: str
    tool_call_id: str | None = None
    exception: str | None = None
    attachments: list[Attachment] = field(default_factory=list)

    def part(self) -> Part:
        """Return the `tool_result` part."""
        made: dict[str, Any] = {"type": "tool_result", "name": self.name, "output": self.output}
        if self.tool_call_id is not None:
            made["tool_call_id"] = self.tool_call_id
        if self.exception is not None:
            made["exception"] = self.exception
        if self.attachments:
            made["attachments"] = [dict(attachment) for attachment in self.attachments]
        return Part(made)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: `input` is all that the model read, `output` all that it wrote; `details` say
    how many of them were cached, reasoning, and so on."""

    input: int | None = None
    output: int | None = None
    details: dict[str, int] = field(default_factory=dict)


def normalized(*items: Any) -> list[dict[str, Any]]:
    """Return texts, parts, attachments, results and lists of these as parts. Raises TypeError."""
    parts: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, str):
            parts.append({"type": "text", "text": item})
        elif isinstance(item, Attachment):
            parts.append({"type": "attachment", "attachment": dict(item)})
        elif isinstance(item, ToolResult):
            parts.append(dict(item.part()))
        elif isinstance(item, dict) and "type" in item:
            parts.append(dict(item))
        elif isinstance(item, (list, tuple)):
            parts += normalized(*item)
        else:
            raise TypeError(f"no part of a message: {item!r}")
    return parts


def message(role: str, *items: Any, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a message of `role`. Raises TypeError for what is no part."""
    made = {"type": "message", "role": role, "parts": normalized(*items)}
    return Message({**made, **({"provider_metadata": provider_metadata} if provider_metadata else {})})


def user(*items: Any, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a user message of texts, attachments and parts.

    llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    """
    return message("user", *items, provider_metadata=provider_metadata)


def system(*items: Any, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a system message."""
    return message("system", *items, provider_metadata=provider_metadata)


def assistant(*items: Any, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return an assistant message: what a model has said."""
    return message("assistant", *items, provider_metadata=provider_metadata)


def tool_message(*items: Any, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a tool message: the results of calls (`ToolResult`, or parts)."""
    return message("tool", *items, provider_metadata=provider_metadata)
