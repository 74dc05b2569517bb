"""The records of a stream, as types: what llm-stream(5) says, for a type checker.

Nothing here is needed at run time: records are plain dicts, and `check` is what
refuses a wrong one. A field that may be absent is `NotRequired`. Unknown fields
are allowed everywhere and kept.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..errors import ErrorRecord as ErrorRecord

Role = Literal["system", "user", "assistant", "tool"]
Status = Literal["ok", "error", "cancelled", "truncated"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error"]

Record = dict[str, Any]
"""Any record, of a known type or not."""

Part = dict[str, Any]
"""One part of a message. `TextPart` and the like are the shapes of the known types: a program that
checks types can cast a part to them; nothing here does."""

Metadata = dict[str, dict[str, Any]]
"""provider_metadata: keyed by issuer, sent back to that issuer only."""


class Attachment(TypedDict):
    """Bytes, or where they are: content (base64), or path + sha256, or url, or none of
    them where provider_metadata names a file that the vendor keeps."""

    type: NotRequired[str]
    name: NotRequired[str]
    content: NotRequired[str]
    path: NotRequired[str]
    sha256: NotRequired[str]
    url: NotRequired[str]


class Annotation(TypedDict):
    """A source of (a stretch of) a text: start and end count its code points, half open."""

    kind: str
    url: NotRequired[str]
    title: NotRequired[str]
    cited_text: NotRequired[str]
    start: NotRequired[int]
    end: NotRequired[int]
    provider_metadata: NotRequired[Metadata]


class TextPart(TypedDict):
    type: Literal["text"]
    text: str
    annotations: NotRequired[list[Annotation]]
    phase: NotRequired[Literal["commentary", "answer"]]
    provider_metadata: NotRequired[Metadata]


class ReasoningPart(TypedDict):
    type: Literal["reasoning"]
    text: str
    redacted: NotRequired[bool]
    provider_metadata: NotRequired[Metadata]


class RefusalPart(TypedDict):
    type: Literal["refusal"]
    text: str
    provider_metadata: NotRequired[Metadata]


class ToolCallPart(TypedDict):
    """A call. `arguments_raw` is the vendor's own text where it differs from the compact
    form of `arguments`; a call with `exception` is never run."""

    type: Literal["tool_call"]
    name: str
    arguments: dict[str, Any]
    tool_call_id: str
    server_executed: NotRequired[bool]
    arguments_raw: NotRequired[str]
    exception: NotRequired[str]
    provider_metadata: NotRequired[Metadata]


class ToolResultPart(TypedDict):
    type: Literal["tool_result"]
    name: str
    output: str
    tool_call_id: str
    server_executed: NotRequired[bool]
    exception: NotRequired[str]
    attachments: NotRequired[list[Attachment]]
    provider_metadata: NotRequired[Metadata]


class AttachmentPart(TypedDict):
    type: Literal["attachment"]
    attachment: Attachment
    provider_metadata: NotRequired[Metadata]


class Usage(TypedDict, total=False):
    """Tokens of one response: input is all the model read, output all it wrote."""

    input: int
    output: int
    details: dict[str, int]


class Timing(TypedDict, total=False):
    """Seconds from the request to the first event of a part, and to the end."""

    first: float
    total: float


class Response(TypedDict, total=False):
    """How an assistant message came about; no part of what it is."""

    id: str
    model: str
    model_served: str
    provider: str
    status: Status
    exit_status: int
    error: dict[str, Any]
    finish_reason: FinishReason
    finish_reason_raw: str
    usage: Usage
    created: str
    timing: Timing
    request: dict[str, Any]
    request_id: str
    details: dict[str, Any]


class Request(TypedDict, total=False):
    """How a user message asks to be answered, where who sends it says nothing else."""

    model: str
    options: dict[str, Any]
    schema: dict[str, Any]
    reasoning: str
    tool_choice: str


class Message(TypedDict):
    type: Literal["message"]
    role: Role
    parts: list[Part]
    provider_metadata: NotRequired[Metadata]
    request: NotRequired[Request]
    response: NotRequired[Response]


class ToolRecord(TypedDict):
    """A tool that is offered from here on. One without `input_schema` is the vendor's own."""

    type: Literal["tool"]
    name: str
    description: NotRequired[str]
    input_schema: NotRequired[dict[str, Any]]
    provider_metadata: NotRequired[Metadata]


class ConversationRecord(TypedDict):
    """A whole conversation in one line."""

    type: Literal["conversation"]
    messages: list[Message]
    id: NotRequired[str]
    tools: NotRequired[list[ToolRecord]]
    options: NotRequired[dict[str, Any]]
    meta: NotRequired[dict[str, Any]]
    error: NotRequired[dict[str, Any]]
