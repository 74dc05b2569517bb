"""The parts of messages, a class for each type that `llm` knows. `Part.from_dict` finds the class."""

from __future__ import annotations

from typing import Any

from .files import Attachment
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    Meta = dict[str, Any] | None


class Part(Value):
    """A part of a message; its `type` says which of the other fields it has.

    text, reasoning, refusal: `text`; tool_call: `name`, `arguments`, `tool_call_id`; tool_result:
    `name`, `output`, `tool_call_id`; attachment: `attachment`. Any other type is a vendor's own.
    Change a field, or take the part as a dict.

        llmtools.user("hi").parts[0].text  # "hi"
    """

    __slots__ = ()

    type: str = ""
    text: str = ""
    name: str = ""
    arguments: dict[str, Any] = {}  # noqa: RUF012 - copied when it is read
    output: str = ""
    tool_call_id: str | None = None
    server_executed: bool = False
    redacted: bool = False
    exception: str | None = None
    provider_metadata: dict[str, Any] | None = None

    @property
    def attachment(self) -> Attachment | None:
        """The file of an attachment part, None for another."""
        if "attachment" not in self:
            return None
        file = self["attachment"]
        return file if isinstance(file, Attachment) else Attachment.from_dict(file)

    @property
    def attachments(self) -> list[Attachment]:
        """The files of a tool_result, [] for another."""
        return [Attachment.from_dict(each) for each in self.get("attachments", ())]

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the part of a dict, as an object of the class for its type.

        type(llmtools.Part.from_dict({"type": "text", "text": "hi"})).__name__  # "TextPart"
        """
        kind: Any = PART_CLASSES.get(record.get("type", ""), cls) if cls is Part else cls
        part: Self = kind.__new__(kind)
        part.update(record)
        return part

    def _set(self, kind: str, fields: Mapping[str, Any], **rest: Any) -> None:
        """Set the fields; those of `rest` that are neither false nor None."""
        self.update({"type": kind, **fields, **{name: value for name, value in rest.items() if value}})


class TextPart(Part):
    """A part with text for a person: `llmtools.TextPart("hi")`."""

    __slots__ = ()

    def __init__(self, text: str = "", provider_metadata: Meta = None) -> None:
        self._set("text", {"text": text}, provider_metadata=provider_metadata)


class ReasoningPart(Part):
    """A part with the model's reasoning; `redacted` if the provider hides it: `llmtools.ReasoningPart("hm")`."""

    __slots__ = ()

    def __init__(self, text: str = "", redacted: bool = False, provider_metadata: Meta = None) -> None:
        self._set("reasoning", {"text": text}, redacted=redacted, provider_metadata=provider_metadata)


class ToolCallPart(Part):
    """A part that calls a tool: `llmtools.ToolCallPart("upper", {"text": "a"}, "call_1")`."""

    __slots__ = ()

    def __init__(
        self,
        name: str = "",
        arguments: dict[str, Any] | None = None,
        tool_call_id: str | None = None,
        server_executed: bool = False,
        provider_metadata: Meta = None,
    ) -> None:
        rest = {"tool_call_id": tool_call_id, "server_executed": server_executed}
        fields = {"name": name, "arguments": {} if arguments is None else arguments}
        self._set("tool_call", fields, **rest, provider_metadata=provider_metadata)


class ToolResultPart(Part):
    """A part with the result of a call: `llmtools.ToolResultPart("upper", "A", "call_1")`."""

    __slots__ = ()

    def __init__(
        self,
        name: str = "",
        output: str = "",
        tool_call_id: str | None = None,
        server_executed: bool = False,
        attachments: Sequence[Attachment] = (),
        exception: str | None = None,
        provider_metadata: Meta = None,
    ) -> None:
        rest = {"tool_call_id": tool_call_id, "server_executed": server_executed, "exception": exception}
        files = [dict(attachment) for attachment in attachments]
        fields = {"name": name, "output": output}
        self._set("tool_result", fields, **rest, attachments=files, provider_metadata=provider_metadata)


class AttachmentPart(Part):
    """A part with a file: `llmtools.AttachmentPart(llmtools.Attachment(path="photo.jpg"))`."""

    __slots__ = ()

    def __init__(self, attachment: Attachment | None = None, provider_metadata: Meta = None) -> None:
        self._set("attachment", {}, attachment=attachment, provider_metadata=provider_metadata)


PART_CLASSES: dict[str, type[Part]] = {
    "text": TextPart,
    "reasoning": ReasoningPart,
    "tool_call": ToolCallPart,
    "tool_result": ToolResultPart,
    "attachment": AttachmentPart,
}
"""The class of each type of part. Another type is a `Part`."""
