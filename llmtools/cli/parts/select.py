"""Selects parts of whole messages, and puts them into the form in which they are printed.

`view` prints a reply while it comes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import count

from ...errors import CreateError, OutputError
from ...records.conversation import text_of
from ...records.jsonl import dumps
from ...terminal import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ...records.conversation import Conversation
    from ...records.types import (
        Attachment,
        Message,
        Part,
    )

TYPES = ("text", "reasoning", "tool_call", "tool_result", "attachment", "refusal")
_FENCE = re.compile(r"(?P<run>`{3,}(?=[^`\n]*$)|~{3,})(?P<rest>.*)", re.DOTALL)
"""A line that opens a code block, without its newline: https://spec.commonmark.org/0.31.2/#fenced-code-blocks"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which parts of a conversation to print.

    types: part types; none means all. roles: only messages of these roles, of the whole
    conversation. all: the whole conversation, not only the reply. last: only the final message.
    whole: only complete messages. reasoning: also reasoning parts.
    """

    types: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    all: bool = False
    last: bool = False
    whole: bool = False
    reasoning: bool = True

    def messages(self, conversation: Conversation) -> list[Message]:
        """Return the selected messages. A reply includes tool messages only if results are selected."""
        messages = conversation.messages if self.all or self.roles else turn(conversation)
        roles = self.roles or (() if self.all or "tool_result" in self.types else ("assistant",))
        messages = [message for message in messages if not roles or message["role"] in roles]
        if self.whole:
            messages = [message for message in messages if is_complete(message)]
        return messages[-1:] if self.last else messages

    def parts(self, messages: Iterable[Message]) -> list[Part]:
        """Return the selected parts. Where types are selected, commentary is not."""
        return [
            part
            for message in messages
            for part in message["parts"]
            if self._wants(part["type"]) and not (self.types and part.get("phase") == "commentary")
        ]

    def _wants(self, kind: str) -> bool:
        return (not self.types or kind in self.types) and (self.reasoning or kind != "reasoning")


def turn(conversation: Conversation) -> list[Message]:
    """Return every message after the last user message: the reply, and the tool messages in it."""
    messages = conversation.messages
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user":
            return messages[place + 1 :]
    return messages


def is_complete(message: Message) -> bool:
    """Return whether a message does not belong to a failed response."""
    return message.get("response", {}).get("status", "ok") == "ok"


def extract(text: str, *, last: bool = False) -> str:
    """Return the code in the first (or last) fenced block of a text; the whole text if there is no block."""
    blocks = _code_blocks(text)
    return blocks[-1 if last else 0] if blocks else text


def _code_blocks(text: str) -> list[str]:
    """Return the code in each fenced block. A fence without an end opens no block."""
    lines = re.split(r"(?<=\n)", text)
    fences = [_FENCE.fullmatch(line.rstrip("\n")) for line in lines]
    closed = _longest_ends(fences)
    blocks: list[str] = []
    begin, opening = 0, ""
    for number, fence in enumerate(fences):
        run = fence["run"] if fence else ""
        if not opening and run and len(run) <= closed[number][run[0]]:
            begin, opening = number + 1, run
        elif opening and fence and run.startswith(opening) and not fence["rest"].strip(" \t\r"):
            blocks.append("".join(lines[begin:number]))
            opening = ""
    return blocks


def _longest_ends(fences: list[re.Match[str] | None]) -> list[dict[str, int]]:
    """Return for each line the length of the longest fence of each character that ends a block after it."""
    longest = {"`": 0, "~": 0}
    found = []
    for fence in reversed(fences):
        found.append(longest)
        if fence and not fence["rest"].strip(" \t\r"):
            run = fence["run"]
            longest = {**longest, run[0]: max(longest[run[0]], len(run))}
    return found[::-1]


def json_values(messages: Iterable[Message], selection: Selection) -> Iterator[Any]:
    """Yield the JSON values of each message: the selected parts or, if the request had a schema and no
    types are selected, the object of the answer.

    Raises InputError for an answer that is not JSON or does not fit its schema.
    """
    for message in messages:
        schema = message.get("response", {}).get("request", {}).get("schema")
        text = text_of(message)
        if schema and text and not selection.types and is_complete(message):
            from ...schema import parse_answer

            yield parse_answer(text, schema)
        else:
            yield from selection.parts([message])


def join_lines(pieces: Iterable[bytes]) -> bytes:
    """Return the pieces that are not empty, each with a newline at its end."""
    return b"".join([piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces if piece])


def text_of_parts(messages: Iterable[Message], selection: Selection) -> bytes:
    """Return the selected parts as text: those of one message joined, each message on lines of its own."""
    return join_lines(b"".join(map(part_bytes, selection.parts([message]))) for message in messages)


def part_bytes(part: Part) -> bytes:
    """Return a part as it goes into a pipe: its text, the output of a tool, the bytes of an attachment
    (or its URL), and JSON for any other part."""
    kind = part["type"]
    if kind in ("text", "reasoning", "refusal"):
        return str(part["text"]).encode()
    if kind == "tool_result":
        return str(part["output"]).encode()
    if kind == "attachment":
        from ...attachment import data_of

        attachment = part.get("attachment", {})
        data = data_of(attachment)
        return attachment.get("url", "").encode() if data is None else data
    return dumps(part)


def _file_name(attachment: Attachment, number: int) -> str:
    """Return a safe file name for an attachment: a name or a type that a model gives is not a path."""
    import mimetypes

    name = _safe_name(os.path.basename(attachment.get("name", "")))
    if name:
        return name
    kind = attachment.get("type", "application/octet-stream")
    beginning = _safe_name(kind.partition("/")[0]) or "file"
    return f"{beginning}-{number}{mimetypes.guess_extension(kind) or '.bin'}"


def _safe_name(name: str) -> str:
    """Return a name without control characters and slashes, and without dots at its beginning."""
    return visible(name).replace("\n", "_").replace("\t", "_").replace(os.sep, "_").lstrip(".")


def save_attachments(messages: Iterable[Message], folder: str) -> list[str]:
    """Write the attachments of messages, also those of tool results, to files in `folder`;
    return their paths. An existing file is not changed: the new name gets a number. A file appears
    when it is whole.

    Raises CreateError or OutputError.
    """
    from ...attachment import data_of
    from ...records.attachments import attachments_in

    attachments = [attachment for message in messages for attachment in attachments_in(message)]
    paths = []
    names: dict[str, Iterator[str]] = {}
    for number, attachment in enumerate(attachments, 1):
        data = data_of(attachment)
        if data is not None:
            name = _file_name(attachment, number)
            names[name] = names.get(name) or _numbered_paths(folder, name)
            paths.append(_write_new(folder, names[name], data))
    return paths


def _numbered_paths(folder: str, name: str) -> Iterator[str]:
    """Yield the paths of a name in a directory: name.png, name-1.png …, none of them too long."""
    from ...paths import name_limit, shorten_name

    limit = name_limit(folder)
    for number in count():
        suffix = f"-{number}" if number else ""
        stem, ending = os.path.splitext(shorten_name(name, limit - len(suffix)))
        yield os.path.join(folder, f"{stem}{suffix}{ending}")


def _write_new(folder: str, paths: Iterator[str], data: bytes) -> str:
    """Write a file with the first of the paths that is free; return that path."""
    from ...paths import WholeFile

    try:
        os.makedirs(folder, exist_ok=True)
        file = WholeFile(os.path.join(folder, ""), 0o666)
    except OSError as error:
        raise CreateError(f"{folder}: {error.strerror}") from None
    try:
        try:
            file.write(data)
        except BaseException:
            file.discard()
            raise
        return file.commit_new(paths)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from None
