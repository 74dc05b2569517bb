"""Records as objects: messages, parts, events, attachments, calls, results, usage.

A `Message`, `Part`, `Event` or `Attachment` is the dict of the stream; its fields are attributes
too: `event.type`, `message.parts[0].text`. Two are equal if their dicts are, and `json.dumps` takes
them as they are.
"""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass, field
from os import fspath
from typing import Any

from ..attachment import data_of, from_bytes, from_file
from ..records.build import deep_copy
from ..tools.calls import result_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import Self, TypeAlias

    Item: TypeAlias = str | Mapping[str, Any] | "ToolResult" | Sequence["Item"]


class Value(dict[str, Any]):
    """A record whose fields are attributes too; a missing field is None. Change it as a dict:
    `part["text"] = "…"`."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a plain dict, for JSON: `llmtools.user("hi").to_dict()`."""
        found: dict[str, Any] = deep_copy(self)
        return found

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the object of a dict: `llmtools.Message.from_dict(json.loads(line))`."""
        return cls(record)


class Part(Value):
    """A part of a message; its `type` says which of the other fields it has.

    text, reasoning, refusal: `text`; tool_call: `name`, `arguments`, `tool_call_id`; tool_result:
    `name`, `output`, `tool_call_id`; attachment: `attachment`. Any other type is a vendor's own.

        llmtools.user("hi").parts[0].text  # "hi"
    """

    __slots__ = ()

    @property
    def type(self) -> str:
        """The type: text, reasoning, tool_call, tool_result, attachment, refusal, or a vendor's own."""
        return str(self.get("type", ""))

    @property
    def text(self) -> str:
        """The text of a text, reasoning or refusal part, "" for another."""
        return str(self.get("text", ""))

    @property
    def name(self) -> str:
        """The tool of a tool_call or tool_result, "" for another."""
        return str(self.get("name", ""))

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a tool_call, {} for another."""
        found: dict[str, Any] = self.get("arguments", {})
        return found

    @property
    def output(self) -> str:
        """The text of a tool_result, "" for another."""
        return str(self.get("output", ""))

    @property
    def tool_call_id(self) -> str | None:
        """The id of a tool_call, or of the call that a tool_result answers."""
        return self.get("tool_call_id")

    @property
    def attachment(self) -> Attachment | None:
        """The file of an attachment part, None for another."""
        return Attachment(self["attachment"]) if "attachment" in self else None


class Message(Value):
    """A message: `role`, `parts`, and for a reply `response`: how it came about.

    message = llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    [part.type for part in message.parts]  # ["text", "attachment"]
    """

    __slots__ = ()

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(record)
        self["parts"] = [part if isinstance(part, Part) else Part(part) for part in self["parts"]]

    @property
    def role(self) -> str:
        """The role: system, user, assistant or tool."""
        return str(self["role"])

    @property
    def parts(self) -> list[Part]:
        """The parts, in order. A change of a part changes the message."""
        found: list[Part] = self["parts"]
        return found

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join([part.text for part in self.parts if part.type == "text"])


class Event(Value):
    """An event of a response, as it comes: `type`, `chunk`, `part_index` and more.

    text, reasoning, refusal: `chunk`; tool_call_name and tool_call_args: `chunk`, `tool_call_id`;
    start, end, notice, error: see llm-stream(5).

        for event in llmtools.get_model("echo").prompt("hi").stream_events():
            if event.type == "text":
                print(event.chunk, end="")
    """

    __slots__ = ()

    @property
    def type(self) -> str:
        """The type: text, reasoning, tool_call_name, tool_call_args, tool_result, start, end …"""
        return str(self["type"])

    @property
    def chunk(self) -> str:
        """The piece of text that the event adds, "" for none."""
        return str(self.get("chunk", ""))

    @property
    def part_index(self) -> int | None:
        """The place of its part in the message, None for an event of the whole response."""
        return self.get("part_index")


class Attachment(Value):
    """A file for a message, or one that the model made: `type` (MIME), and bytes or a URL.

    Give one of `path`, `content` (bytes) and `url`. A path is read at once. The type is found from the
    bytes, unless `type` (or `mimetype`) gives it. Raises NoInputError for a file that cannot be read.

        llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    """

    __slots__ = ()

    def __init__(
        self,
        record: Mapping[str, Any] | None = None,
        *,
        type: str | None = None,
        mimetype: str | None = None,
        path: str | PathLike[str] | None = None,
        url: str | None = None,
        content: bytes | None = None,
    ) -> None:
        fields: Any = record or {}
        mime = type or mimetype
        if path is not None:
            fields = from_file(fspath(path), mime=mime)
        elif content is not None:
            fields = from_bytes(content, mime=mime)
        elif url is not None:
            fields = {"url": url, **({"type": mime} if mime else {})}
        super().__init__(fields)

    def resolve_type(self) -> str | None:
        """Return the MIME type; None for a URL without one."""
        return self.get("type")

    def content_bytes(self) -> bytes | None:
        """Return the bytes; None where there is only a URL or a file of the vendor's.

        Raises InputError for content that is not base64.
        """
        return data_of(self)  # type: ignore[arg-type]

    def base64_content(self) -> str | None:
        """Return the bytes as base64, None as `content_bytes` does."""
        data = self.content_bytes()
        return None if data is None else b2a_base64(data, newline=False).decode()


@dataclass(slots=True)
class ToolCall:
    """A call of the model that this program runs. A call with `exception` is not run: its arguments
    were cut off or are not JSON.

        response.tool_calls()  # [ToolCall(name="upper", arguments={"text": "panda"}, tool_call_id="~0")]
    """

    name: str
    arguments: dict[str, Any]
    tool_call_id: str | None = None
    exception: str | None = None


@dataclass(slots=True)
class ToolResult:
    """The result of a call: `output` for the model to read, `exception` if it failed.

    response.reply(tool_results=[llmtools.ToolResult("upper", "PANDA", call.tool_call_id)])
    """

    name: str
    output: str
    tool_call_id: str | None = None
    exception: str | None = None
    attachments: list[Attachment] = field(default_factory=list)

    def part(self) -> Part:
        """Return the `tool_result` part."""
        return Part(result_part(self.name, self.tool_call_id, self))


@dataclass(slots=True)
class ToolOutput:
    """The return value of a tool that has files for the model beside its output.

    def chart(data: list[int]) -> llmtools.ToolOutput:
        return llmtools.ToolOutput("drawn", [llmtools.Attachment(content=drawn(data))])
    """

    output: Any = None
    attachments: list[Attachment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: `input` is all that the model read, `output` all that it wrote; `details` say
    how many of them were cached, reasoning, and so on.

        llmtools.get_model("echo").prompt("hi").usage()  # Usage(input=1, output=1, details={})
    """

    input: int | None = None
    output: int | None = None
    details: dict[str, int] = field(default_factory=dict)


def parts_of(*items: Any) -> list[dict[str, Any]]:
    """Return texts, parts, attachments, results and lists of these as parts. Raises TypeError."""
    parts: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, str):
            parts.append({"type": "text", "text": item})
        elif isinstance(item, Attachment):
            parts.append({"type": "attachment", "attachment": dict(item)})
        elif isinstance(item, ToolResult):
            parts.append(item.part())
        elif isinstance(item, dict) and "type" in item and "role" not in item:
            parts.append(item)
        elif isinstance(item, (list, tuple)):
            parts += parts_of(*item)
        else:
            raise TypeError(f"not a part of a message: {item!r}")
    return parts


def new_message(role: str, *items: Any, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a message of `role`. Raises TypeError for what is not a part."""
    fields = {"type": "message", "role": role, "parts": parts_of(*items)}
    return Message({**fields, **({"provider_metadata": provider_metadata} if provider_metadata else {})})


def user(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a user message of texts, attachments and parts.

    Raises TypeError for what is none of them.

        llmtools.user("What is this?", llmtools.Attachment(path="photo.jpg"))
    """
    return new_message("user", *items, provider_metadata=provider_metadata)


def system(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a system message.

    llmtools.system("Answer in one word.")
    """
    return new_message("system", *items, provider_metadata=provider_metadata)


def assistant(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return an assistant message: a reply of a model.

    llmtools.assistant("Paris")
    """
    return new_message("assistant", *items, provider_metadata=provider_metadata)


def tool_message(*items: Item, provider_metadata: dict[str, Any] | None = None) -> Message:
    """Return a tool message: the results of calls (`ToolResult`, or parts).

    llmtools.tool_message(llmtools.ToolResult("upper", "PANDA", "call_1"))
    """
    return new_message("tool", *items, provider_metadata=provider_metadata)
