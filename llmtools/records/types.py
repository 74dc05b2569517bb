"""The records of a stream as types, for a type checker. Source: llm-stream(5).

Records are plain dicts, and `check` refuses a wrong one at run time. A field that may be absent
is `NotRequired`. Every record may have fields that are not listed here; they are passed on.
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
"""A record of any type, known or not."""

Part = dict[str, Any]
"""A part of a message. `TextPart` and the others are the shapes of the known types, to which a
program can cast a part for its type checker."""

Metadata = dict[str, dict[str, Any]]
"""provider_metadata: keys are issuers; a value is sent to its issuer only."""


class Attachment(TypedDict):
    """Bytes, or their place: content (base64), or path and sha256, or url. With none of them, the
    provider_metadata of the part names a file at the vendor."""

    type: NotRequired[str]
    name: NotRequired[str]
    content: NotRequired[str]
    path: NotRequired[str]
    sha256: NotRequired[str]
    url: NotRequired[str]


class Annotation(TypedDict):
    """The source of a text, or of its code points from `start` up to `end`, which is not included."""

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
    """A call. `arguments_raw` is the text of the vendor, if it is not the compact form of `arguments`.
    A call with `exception` is never run. One that `needs_approval` is run by the provider, once the
    user says yes: a result without an exception."""

    type: Literal["tool_call"]
    name: str
    arguments: dict[str, Any]
    tool_call_id: str
    server_executed: NotRequired[bool]
    needs_approval: NotRequired[bool]
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
    """Tokens of one response: input counts all tokens that the model read, output all that it wrote."""

    input: int
    output: int
    details: dict[str, int]


class Timing(TypedDict, total=False):
    """Seconds from the request to the first event of a part, and to the end."""

    first: float
    total: float


class ResponseFields(TypedDict, total=False):
    """How an assistant message came about. It is not part of the identity of the message."""

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


class RequestFields(TypedDict, total=False):
    """How a user message asks to be answered. Options of llm-send take precedence."""

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
    request: NotRequired[RequestFields]
    response: NotRequired[ResponseFields]


class ToolRecord(TypedDict):
    """A tool that the model may call from here on. A tool without `input_schema` is one of the vendor."""

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
