"""Messages built of what llm-msg is given: texts, fragments, the answer to a pending call."""

from __future__ import annotations

import os
import re

from ...attachment import mime_type, read_file, text_from, type_by_name
from ...errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    UsageError,
)
from ...records.build import build_message
from ...records.conversation import Conversation
from ...records.jsonl import Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Attachment, Message, Part

_URL = re.compile(r"https?://", re.IGNORECASE)
_LOADER = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*):(.*)", re.DOTALL)


def answer(conversation: Conversation, output: str, call_id: str | None = None) -> Message:
    """Return the tool message that answers a pending call of `conversation`.

    `call_id` says which; it may be left out where only one is pending. Raises InputError
    where none is pending or none has that id, UsageError where several are.
    """
    pending = conversation.pending_calls()
    calls = [call for call in pending if call_id in (None, call["tool_call_id"])]
    if not calls:
        raise InputError(f"no call is pending with the id {call_id}" if pending else "no tool call is pending")
    if len(calls) > 1:
        ids = ", ".join(f"{call['tool_call_id']} ({call['name']})" for call in calls)
        raise UsageError(f"several calls are pending, name one with --call: {ids}")
    result = {"type": "tool_result", "name": calls[0]["name"], "output": output}
    return build_message("tool", {**result, "tool_call_id": calls[0]["tool_call_id"]})


def fragment(spec: str) -> list[str | Part]:
    """Return what a fragment holds: a file, a URL, or NAME:ARG, which runs the executable
    llm-fragment-NAME with ARG; that prints text, or records whose parts are taken.

    Raises NoInputError where there is none, InputError where it is no text.
    """
    if _URL.match(spec):
        from ...http.transport import fetch

        return [text_from(fetch(spec), spec)]
    loader = _LOADER.fullmatch(spec)
    if loader and not os.path.exists(spec):
        return _run_loader(loader[1], loader[2])
    return [text_from(read_file(spec), spec)]


def _run_loader(name: str, argument: str) -> list[str | Part]:
    import shutil
    import subprocess

    program = shutil.which(f"llm-fragment-{name}")
    if program is None:
        raise NoInputError(f"{name}:{argument}: no such file, and no llm-fragment-{name} on PATH")
    done = subprocess.run([program, argument], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise LlmToolsError(f"llm-fragment-{name} {argument} failed with status {done.returncode}")
    if not done.stdout.startswith(b"{"):
        return [text_from(done.stdout, f"llm-fragment-{name}")]
    decoder = Decoder(f"llm-fragment-{name}")
    lines = decoder.feed(done.stdout) + decoder.eof()
    if decoder.error:
        return [text_from(done.stdout, f"llm-fragment-{name}")]
    return [part for record, _ in lines if record["type"] == "message" for part in record["parts"]]


def from_url(url: str, *, mime: str | None = None) -> Attachment:
    """Return an attachment that is at a URL; its type is `mime`, else by the name, else
    by fetching it. Raises UnavailableError where that fails."""
    kind = mime or type_by_name(url.partition("?")[0])
    if not kind:
        from ...http.transport import fetch

        kind = mime_type(fetch(url))
    return {"type": kind, "url": url}


def joined(content: list[str | Part]) -> list[str | Part]:
    """Return `content` with its texts joined into one, a blank line between them, first."""
    texts = [item for item in content if isinstance(item, str) and item]
    parts: list[str | Part] = [item for item in content if not isinstance(item, str)]
    if not texts:
        return parts
    spaced = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return ["\n".join([*spaced, texts[-1]]), *parts]
