"""Messages built of what llm-msg is given: texts, fragments, the answer to a pending call."""

from __future__ import annotations

import os
import re

from ...attachment import read_file
from ...errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    UsageError,
)
from ...records.conversation import Conversation
from ...records.jsonl import Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Message, Part, Role

_URL = re.compile(r"https?://", re.IGNORECASE)
_LOADER = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*):(.*)", re.DOTALL)


def build(role: Role, *content: str | Part) -> Message:
    """Return a message of `role`: each text a text part, each part as it is."""
    parts: list[Part] = [{"type": "text", "text": item} if isinstance(item, str) else item for item in content]
    return {"type": "message", "role": role, "parts": parts}


def system(*content: str | Part) -> Message:
    """Return a system message."""
    return build("system", *content)


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
    return build("tool", {**result, "tool_call_id": calls[0]["tool_call_id"]})


def text_from(data: bytes, source: str) -> str:
    """Return bytes as text. Raises InputError where they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not UTF-8 text at byte {error.start} (-a attaches a file of any kind)") from None


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


def joined(content: list[str | Part]) -> list[str | Part]:
    """Return `content` with its texts joined into one, a blank line between them, first."""
    texts = [item for item in content if isinstance(item, str) and item]
    parts: list[str | Part] = [item for item in content if not isinstance(item, str)]
    if not texts:
        return parts
    spaced = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return ["\n".join([*spaced, texts[-1]]), *parts]
