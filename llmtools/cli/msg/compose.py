"""The content of llm-msg's message: texts, fragments, attachments, the answer to a pending call."""

from __future__ import annotations

import os
import re

from ...errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    UsageError,
)
from ...media_type import text_of_bytes, type_of_name
from ...records.build import build_message
from ...records.conversation import Conversation
from ...records.jsonl import Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...records.types import Attachment, Message, Part

_URL = re.compile(r"https?://", re.IGNORECASE)
_LOADER = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*):(.*)", re.DOTALL)


def answer(conversation: Conversation, content: list[str | Part], call_id: str | None = None) -> Message:
    """Return the tool message that answers a pending call of `conversation` with texts and attachments.

    call_id: the id of the call; None if only one is pending. Raises InputError if no call is pending
    or has that id, UsageError if several are pending.
    """
    pending = conversation.pending_calls()
    calls = [call for call in pending if call_id in (None, call["tool_call_id"])]
    if not calls:
        raise InputError(f"no call is pending with the id {call_id}" if pending else "no tool call is pending")
    if len(calls) > 1:
        ids = ", ".join(f"{call['tool_call_id']} ({call['name']})" for call in calls)
        raise UsageError(f"several calls are pending, name one with --call: {ids}")
    output = "".join([item for item in content if isinstance(item, str)])
    attachments = [item["attachment"] for item in content if not isinstance(item, str) and "attachment" in item]
    result = {"type": "tool_result", "name": calls[0]["name"], "output": output}
    result |= {"tool_call_id": calls[0]["tool_call_id"]}
    return build_message("tool", {**result, **({"attachments": attachments} if attachments else {})})


def fragment(spec: str, *, is_raw: bool, tell: Callable[[str], None]) -> list[str | Part]:
    """Return the content of a fragment: of a file, of a URL, or of NAME:ARG. The latter runs the
    executable llm-fragment-NAME with ARG, which prints text, or records whose parts are used.

    is_raw: whether a page at a URL stays as it is. tell: takes a line for the user. Raises
    NoInputError for a fragment that does not exist, InputError for one that is not text.
    """
    if _URL.match(spec):
        from ...http.endpoint import without_password
        from ...http.transport import fetch
        from .page import text_of_page

        return [text_of_page(fetch(spec), without_password(spec), is_raw=is_raw, tell=tell)]
    loader = _LOADER.fullmatch(spec)
    if loader and not os.path.exists(spec):
        return _run_loader(loader[1], loader[2])
    from ...files import read_file

    return [text_of_bytes(read_file(spec), spec)]


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
        return [text_of_bytes(done.stdout, f"llm-fragment-{name}")]
    decoder = Decoder(f"llm-fragment-{name}")
    lines = decoder.feed(done.stdout) + decoder.eof()
    if decoder.error:
        return [text_of_bytes(done.stdout, f"llm-fragment-{name}")]
    return [part for record, _ in lines if record["type"] == "message" for part in record["parts"]]


def from_url(url: str, *, mime: str | None = None) -> Attachment:
    """Return an attachment by its URL. Its type is `mime`, else that of the URL's ending, else found by
    downloading it, in its bytes or in what the server tells. Raises UnavailableError where that fails."""
    kind = mime or type_of_name(url.partition("?")[0])
    if not kind:
        from ...attachment import type_of
        from ...http.transport import fetch

        page = fetch(url)
        kind = type_of(page.text_data(), url.partition("?")[0], header=page.kind)
    return {"type": kind, "url": url}


def join_texts(content: list[str | Part]) -> list[str | Part]:
    """Return `content` with its texts joined into one, which comes first, with blank lines between them."""
    texts = [item for item in content if isinstance(item, str) and item]
    parts: list[str | Part] = [item for item in content if not isinstance(item, str)]
    if not texts:
        return parts
    spaced = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return ["\n".join([*spaced, texts[-1]]), *parts]
