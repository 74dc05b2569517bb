"""What the request builders of all protocols share.

Rule: a block of a request is built from the neutral fields of a part, and the issuer's own
metadata adds to it. So the issuer gets back what it sent, and is told what the stream shows: metadata
never changes a role, a text, a name, arguments, an id or a file.
"""

from __future__ import annotations

import re

from ..errors import InputError, UsageError, setting_name
from ..http.request import HttpRequest
from ..records.attachments import attachments_of
from ..records.jsonl import dumps, is_same
from .instructions import JSON_INSTRUCTION, mentions_json, schema_instruction, with_instruction, with_one_system
from .media_types import usual_type
from .options import ANSWER_OPTIONS, NAMES
from .reply_writer import PART_TYPES
from .schemas import NOT_AT_ROOT, parameters_of, without_alternatives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..records.types import (
        Attachment,
        Message,
        Part,
        Record,
        ToolRecord,
    )
    from .json_fields import JsonObject
    from .request import Request
    from .spec import Spec

_SEVERAL_ANSWERS = ("n", "candidate_count", "candidateCount")
"""Options that ask for more than one answer."""


_HOLDERS = frozenset(
    (
        *("function", "custom", "image_url", "file", "source", "functionCall", "functionResponse", "inlineData"),
        *("fileData", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"),
    )
)
"""Fields of a block that hold other fields of it. Metadata adds to these objects; it adds to no other, such as
the arguments of a call."""


def overlay(body: JsonObject, options: JsonObject) -> JsonObject:
    """Return a copy of a body with options laid over it, object by object."""
    merged = dict(body)
    for name, value in options.items():
        below = merged.get(name)
        merged[name] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def with_metadata(
    block: JsonObject, metadata: JsonObject, shown: frozenset[str] = frozenset(), refused: list[str] | None = None
) -> JsonObject:
    """Return a copy of `block` with the fields of `metadata` that it does not have.

    shown: fields that metadata must not add, as llm-parts shows what they hold. refused: gets the names
    of the fields that were left out.
    """
    merged = dict(block)
    for name, value in metadata.items():
        below = block.get(name)
        if name in _HOLDERS and isinstance(below, dict) and isinstance(value, dict):
            merged[name] = with_metadata(below, value, shown, refused)
        elif name not in block and name not in shown:
            merged[name] = value
        elif refused is not None and not (name in block and is_same(below, value)):
            refused.append(name)
    return merged


def named_text(attachment: Attachment) -> str:
    """Return the text of an attachment behind its name, if it has one. Raises InputError if its content is not
    base64."""
    text, name = text_in_base64(attachment["content"]), attachment.get("name")
    return f"{name}:\n{text}" if name else text


def text_in_base64(content: str) -> str:
    """Return the text of an attachment. Raises InputError if `content` is not base64."""
    from binascii import a2b_base64

    try:
        return a2b_base64(content).decode("utf-8", "replace")
    except ValueError as error:
        raise InputError(f"an attachment is not base64: {error}") from None


def result_text(part: Part) -> str:
    """Return the output of a tool_result part, behind its exception if it has one."""
    text: str = part["output"]
    if "exception" in part and part["exception"] not in text:
        return f"Error: {part['exception']}\n{text}".rstrip("\n")
    return text


def attachment_parts(part: Part) -> list[Part]:
    """Return the attachments of a tool_result part, each as a part of its own."""
    return [{"type": "attachment", "attachment": item} for item in part.get("attachments", ())]


def name_and_description(tool: ToolRecord) -> JsonObject:
    """Return the name of a tool, and its description if it has one."""
    description = {"description": tool["description"]} if "description" in tool else {}
    return {"name": tool["name"], **description}


def function_tool(tool: ToolRecord, parameters: JsonObject | None = None) -> JsonObject:
    """Return the block of a function as OpenAI Chat Completions and Ollama have it. `parameters`: the schema of
    its arguments, if it is not simply that of the tool."""
    schema = parameters_of(tool) if parameters is None else parameters
    return {"type": "function", "function": {**name_and_description(tool), "parameters": schema}}


def schema_name(schema: JsonObject) -> str:
    """Return the title of a schema as the name that OpenAI requires: 1 to 64 letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", ""))).strip("_")[:64] or "answer"


class Builder:
    """Builds one request. Each protocol derives from it.

    notices: the notices of what could not be sent, by their messages.
    """

    SHOWN = frozenset(
        (
            *("role", "text", "content", "parts", "refusal", "thinking", "summary", "arguments", "args", "input"),
            *("tool_calls", "function", "function_call", "custom", "functionCall", "functionResponse", "response"),
            *("executableCode", "codeExecutionResult", "toolCall", "toolResponse"),
            *("image_url", "input_audio", "inlineData", "fileData"),
        )
    )
    """The fields of a block that hold what llm-parts shows, in any protocol: only the neutral fields fill them.
    A protocol adds its own."""
    SHOWN_TYPES: frozenset[str] = frozenset()
    """The types of blocks that are built from the neutral fields: an unknown part cannot have them."""

    def __init__(self, request: Request, spec: Spec) -> None:
        self.notices: dict[str, Record] = {}
        self._request = request
        self._issuer = request.issuer
        self._quirks = request.quirks
        self._spec = spec
        self._conversation: list[Message] = []
        self._instruction = ""
        self._read_options: set[str] = set()
        self._call_ids: dict[str, str] = {}
        self._used_ids: set[str] = set()

    def non_empty(self, messages: list[Message]) -> list[Message]:
        """Return the messages that have parts, with the instruction if there is one. Messages without
        any parts still count in the numbers that error messages use."""
        self._conversation = messages
        found = [message for message in messages if message["parts"]]
        return with_instruction(found, self._instruction) if self._instruction else found

    def with_one_system(self, messages: list[Message]) -> list[Message]:
        """Return messages whose system messages are one, the first; a notice tells of those that were late."""
        merged, is_late = with_one_system(messages)
        if is_late:
            self.notice_moved_system()
        return merged

    def notice_moved_system(self) -> None:
        """Note that a system message is not sent at its place."""
        self.notice("moved_system", "a later system message was sent with the first: it is not allowed at its place")

    def notice(self, code: str, message: str) -> None:
        """Add a notice, unless there is one with the same message."""
        self.notices.setdefault(message, {"type": "notice", "code": code, "message": message})

    def own_metadata(self, holder: Any) -> JsonObject:
        """Return the provider_metadata of this issuer, which is all that may be sent to it."""
        own = holder.get("provider_metadata", {}).get(self._issuer)
        return own if isinstance(own, dict) else {}

    def with_metadata(self, block: JsonObject, own: JsonObject) -> JsonObject:
        """Return a block with what the issuer's metadata adds. A notice tells what it would have changed."""
        if not own:
            return block
        refused: list[str] = []
        merged = with_metadata(block, own, self.SHOWN, refused)
        for name in refused:
            self.notice(
                "dropped_metadata", f"{name} in the metadata was not sent: it would change what the stream shows"
            )
        return merged

    def unknown_block(self, part: Part, own: JsonObject) -> JsonObject | None:
        """Return the block of a part that only the vendor knows, which is its metadata; None if that is
        another block than the part says, or one that is built from neutral fields."""
        kind = own.get("type")
        if not isinstance(kind, str) or kind in self.SHOWN_TYPES or part["type"] in PART_TYPES:
            return None
        is_renamed = kind in PART_TYPES and part["type"].startswith(f"{kind or 'unknown'}_")
        return own if kind == part["type"] or is_renamed else None

    def http_request(
        self, path: str, body: JsonObject, headers: dict[str, str] | None = None, *, stream: str = "text/event-stream"
    ) -> tuple[HttpRequest, list[Record]]:
        """Return the HTTP request and the notices. `stream` is the MIME type of a response that streams.

        Raises InputError if the body nests too deep to be written.
        """
        for name in ANSWER_OPTIONS:
            if name not in self._read_options and self._request.options.get(name) is not None:
                self._notice_dropped(name)
        accept = stream if self._request.stream else "application/json"
        headers = {"content-type": "application/json", "accept": accept, **(headers or {})}
        return HttpRequest(path, dumps(body), headers), list(self.notices.values())

    # ---- attachments

    def check_bytes(self, attachment: Attachment) -> None:
        """Raise InputError if an attachment is only a path."""
        if "path" in attachment and "content" not in attachment and "url" not in attachment:
            name = attachment.get("name") or attachment["path"]
            raise InputError(f"attachment {name}: its bytes were not read")

    def notice_foreign_file(self) -> None:
        """Note that an attachment is only known to another provider."""
        self.notice("dropped_attachment", "an attachment was not sent: only another provider has the file")

    def refuse(self, attachment: Attachment, why: str) -> None:
        """Raise InputError, which names the message and the part, for an attachment that cannot be sent.

        With drop_unsupported, or if a model made the attachment, add a notice instead.
        """
        number, role, part = self._place_of(attachment)
        if role != "assistant" and not self._request.drop_unsupported:
            place = f"message {number} ({role}), part {part}: " if number else ""
            name = setting_name("--drop-unsupported", "Request.drop_unsupported")
            raise InputError(f"{place}an attachment cannot be sent: {why} ({name} leaves it out)")
        self.notice("dropped_attachment", f"an attachment was not sent: {why}")

    def refuse_type(self, attachment: Attachment) -> None:
        """Refuse an attachment whose type this protocol does not take (see `refuse`)."""
        kind, name = usual_type(attachment.get("type") or "unknown type"), attachment.get("name")
        how = "" if "content" in attachment else " by URL"
        taken = f", but {', '.join(self._spec.image_types)}" if kind.startswith("image/") else ""
        self.refuse(attachment, f"{f'{name}: ' if name else ''}this protocol does not take {kind}{how}{taken}")

    def is_taken_image(self, kind: str) -> bool:
        """Return whether the vendor takes images of a MIME type."""
        return kind in self._spec.image_types

    # ---- options and tools

    def options(self) -> JsonObject:
        """Return the options at their places in the body.

        Raises UsageError if they ask for more than one answer, or if a name is not valid.
        """
        options = self._request.options
        for name in options:
            if "" in name.split("."):
                raise UsageError(f"{setting_name('-o', 'option')} {name!r}: not the name of an option")
        for name in _SEVERAL_ANSWERS:
            if options.get(name, 1) not in (1, "1"):
                raise UsageError(f"{setting_name('-o', 'option')} {name}: only one answer can be asked for")
        spelled = {
            name if name in NAMES else self.vendor_spelling(name): value
            for name, value in options.items()
            if name not in (*_SEVERAL_ANSWERS, *ANSWER_OPTIONS)
        }
        body, dropped = self._spec.options.put(spelled, self._quirks)
        for name in dropped:
            self._notice_dropped(name)
        return body

    def _notice_dropped(self, name: str) -> None:
        self.notice("dropped_option", f"the option {name} was not sent: this protocol or model does not have it")

    def summary(self) -> str | bool | None:
        """Return the option reasoning_summary: how the reasoning is shown ("auto", "concise" …), False for
        not at all, None if it is not set. Raises UsageError for another type."""
        self._read_options.add("reasoning_summary")
        value = self._request.options.get("reasoning_summary")
        if not isinstance(value, str | bool | None):
            raise UsageError(
                f"{setting_name('-o', 'option')} reasoning_summary {value}: not true, false or a word such as auto"
            )
        if value in ("none", "false"):
            return False
        return "auto" if value is True else value

    # ---- the form of the answer

    def wants_json(self, messages: list[Message], *, always_in_words: bool = False) -> bool:
        """Return whether the option json_object asks for JSON without a schema. Vendors want the word JSON
        in a message, so that it is added if it is missing there; with `always_in_words` it always is."""
        self._read_options.add("json_object")
        if not self._request.options.get("json_object") or self._request.schema is not None:
            return False
        if always_in_words or not mentions_json(messages):
            self._instruction = JSON_INSTRUCTION
        return True

    def ask_for_schema(self, why: str) -> None:
        """Ask for the schema of the answer in words, with a notice. `why`: why there is no field for it."""
        if self._request.schema is not None:
            self._instruction = schema_instruction(self._request.schema)
            self.notice("changed_schema", f"the schema was sent in words, in the system message: {why}")

    def vendor_spelling(self, name: str) -> str:
        """Return the vendor's spelling of an option that has no common name."""
        return name

    def tool_blocks(
        self, tools: Iterable[ToolRecord], function: Callable[[ToolRecord], JsonObject]
    ) -> list[JsonObject]:
        """Return the blocks of tools: those that `function` makes, and those of the vendor's own tools."""
        blocks = []
        for tool in tools:
            own = self.own_metadata(tool)
            if "input_schema" in tool or not tool.get("provider_metadata"):
                blocks.append(self.with_metadata(function(tool), own))
            elif own:
                blocks.append(self.vendor_tool(tool, own))
            elif block := self._spec.server_tool(tool["name"], self._quirks):
                blocks.append(block)
            else:
                self.notice("dropped_tool", f"the tool {tool['name']} was not offered: it belongs to another provider")
        return blocks

    def top_level(self, blocks: list[JsonObject]) -> JsonObject:
        """Return the fields of the request that blocks without a `type` are: those that ask for tools, no other."""
        fields: JsonObject = {}
        for block in blocks:
            for name, value in block.items() if "type" not in block else ():
                if name in self._spec.top_level_fields():
                    fields[name] = value
                else:
                    self.notice("dropped_tool", f"{name} was not sent: it asks for no tool (-o sets it)")
        return fields

    def flat_parameters(self, tool: ToolRecord) -> JsonObject:
        """Return the JSON Schema of a tool's arguments without alternatives at its root, with a notice."""
        schema = parameters_of(tool)
        if schema.keys().isdisjoint(NOT_AT_ROOT):
            return schema
        found = " and ".join(name for name in NOT_AT_ROOT if name in schema)
        self.notice("changed_schema", f"the schema of the tool {tool['name']} was sent without its {found}")
        return without_alternatives(schema)

    def vendor_tool(self, tool: ToolRecord, own: JsonObject) -> JsonObject:
        """Return the block of one of the vendor's own tools; `own` is its metadata."""
        return own

    def tool_choice(self, tools: list[JsonObject]) -> str | None:
        """Return the tool choice of the request, None for `auto` and `none` without tools, which vendors refuse."""
        choice, other_tools = self._request.tool_choice, self._request.options.get("tools")
        return choice if tools or other_tools or choice not in ("auto", "none") else None

    def notice_loose_schema(self, obstacle: str) -> None:
        """Note that the schema of the answer is not strict: the server need not keep to it."""
        self.notice("loose_schema", f"the schema was sent without strict: {obstacle}")

    # ---- ids and the cache

    def unique_id(self, call_id: str, is_valid: bool, prefix: str) -> str:
        """Return the id of a call in this request: its own if it is valid and not used yet, else a new one.

        New ids are `prefix` and a number, the same for the same conversation.
        """
        number = len(self._used_ids)
        while call_id in self._used_ids or not is_valid:
            call_id, is_valid = f"{prefix}{number:05d}", True
            number += 1
        self._used_ids.add(call_id)
        return call_id

    def cache_key(self) -> str:
        """Return a name for the first message. Requests that begin alike have the same one."""
        from ..records.canonical import node_hash

        first = self._conversation[:1]
        return node_hash(first[0]).hex()[:32] if first else ""

    def notice_no_cache(self) -> None:
        """Note that the prompt cache cannot be asked for, if the request asks for it."""
        if self._request.cache_prompt:
            self.notice(
                "dropped_cache",
                "the prompt cache was not asked for: this provider caches by itself or not at all",
            )

    def _place_of(self, attachment: Attachment) -> tuple[int, str, int]:
        """Return the number of the message, its role and the number of the part; 0, "", 0 if not found."""
        for number, message in enumerate(self._conversation, 1):
            for place, part in enumerate(message["parts"], 1):
                if any(item is attachment for item in attachments_of(part)):
                    return number, message["role"], place
        return 0, "", 0
