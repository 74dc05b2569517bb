"""The built-in model `echo`: it needs neither network nor key; it repeats the prompt, or plays a script.

Rules:
* It answers with the text of the last user message, word by word; after tool results, with their
  outputs.
* A text that is a JSON object with a key of `SCRIPT_KEYS` is a script. The keys are played in the order of
  `SCRIPT_KEYS`. `events` are records, so that a script can write every event of the format.
"""

from __future__ import annotations

import re

from ..errors import (
    InputError,
    LlmToolsError,
    RequestError,
    TruncatedError,
    error_classes,
    from_record,
)
from ..http.request import Emit, Sleep
from ..records.check import check_record
from ..records.conversation import text_of
from ..records.jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..http.request import Want
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from ..records.types import Record

SCRIPT_KEYS = (
    "reasoning",
    "text",
    "refusal",
    "tool_calls",
    "attachments",
    "events",
    "error",
    "cut",
    "finish_reason",
    "usage",
    "delay",
)
BATCH = 512
"""The number of events in a batch of a script without a delay."""

MAX_DELAY = 86400
"""The longest delay between two events, in seconds."""

_WORD = re.compile(r"\s*\S+|\s+")


def _prompt(conversation: Conversation) -> str:
    last = conversation.messages[-1]
    if last["role"] == "tool":
        return "\n".join(part["output"] for part in last["parts"] if part["type"] == "tool_result")
    users = [message for message in conversation.messages if message["role"] == "user"]
    return text_of(users[-1]) if users else ""


def _script(conversation: Conversation) -> dict[str, Any]:
    text = _prompt(conversation)
    if text.lstrip().startswith("{") and conversation.messages[-1]["role"] != "tool":
        try:
            script = loads(text)
        except InputError:
            return {"text": text}
        if not script.keys().isdisjoint(SCRIPT_KEYS):
            unknown = ", ".join(sorted(script.keys() - set(SCRIPT_KEYS)))
            if unknown:
                raise RequestError(f"echo: the script has unknown keys: {unknown}")
            return script  # type: ignore[no-any-return]
    return {"text": text}


def _chunks(kind: str, text: str, index: int) -> Iterator[Record]:
    for word in _WORD.finditer(text):
        yield {"type": kind, "chunk": word[0], "part_index": index}


def _call(call: dict[str, Any], index: int) -> Iterator[Record]:
    call_id = call.get("tool_call_id", f"~{index}")
    rest = {name: value for name, value in call.items() if name not in ("name", "arguments", "arguments_raw")}
    name = {"type": "tool_call_name", "chunk": call["name"], "part_index": index, **rest, "tool_call_id": call_id}
    yield name
    text = call.get("arguments_raw", dumps(call.get("arguments", {})).decode())
    half = len(text) // 2
    for chunk in (text[:half], text[half:]):
        yield {"type": "tool_call_args", "chunk": chunk, "part_index": index, "tool_call_id": call_id}


def _content(script: dict[str, Any]) -> Iterator[Record]:
    """Yield the events of the content of a script: a part for each kind, call and attachment."""
    index = 0
    for kind in ("reasoning", "text", "refusal"):
        if script.get(kind):
            yield from _chunks(kind, script[kind], index)
            index += 1
    for call in script.get("tool_calls", ()):
        yield from _call(call, index)
        index += 1
    for attachment in script.get("attachments", ()):
        yield {"type": "attachment", "part_index": index, "attachment": attachment}
        index += 1
    yield from script.get("events", ())


def _error_of(script: dict[str, Any]) -> LlmToolsError:
    code = script.get("code", "failed")
    status = error_classes().get(code, LlmToolsError).exit_status
    message = f"echo: the script says {code}"
    record = {"type": "error", "message": message, "exit_status": status, **script, "code": code}
    return from_record(record)  # type: ignore[arg-type]


def _end(script: dict[str, Any], conversation: Conversation, words: int) -> Record:
    default = "tool_calls" if script.get("tool_calls") else "refusal" if script.get("refusal") else "stop"
    words_read = sum(text_of(message).count(" ") + 1 for message in conversation.messages)
    usage = script.get("usage", {"input": words_read, "output": words})
    return {"type": "end", "status": "ok", "finish_reason": script.get("finish_reason", default), "usage": usage}


def reply(conversation: Conversation, request: Request) -> Iterator[Want]:
    """Yield wants: the events of the answer in batches, with the delays between them.

    Raises RequestError for a script that is not valid, and the error that a script asks for.
    """
    script = _script(conversation)
    try:
        yield from _play(script, conversation)
    except InputError as error:
        raise RequestError(f"echo: the script is wrong: {error.message}") from None
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise RequestError(f"echo: the script is wrong: {error!r}") from None


def _play(script: dict[str, Any], conversation: Conversation) -> Iterator[Want]:
    delay = script.get("delay", 0)
    if not 0 <= delay <= MAX_DELAY:
        raise InputError(f"delay must be a number from 0 to {MAX_DELAY}")
    delay = float(delay)
    ready: list[Record] = []
    if "error" not in script or set(script) - {"error", "delay"}:
        ready.append({"type": "start"})
    words = 0
    for event in _content(script):
        check_record(event)
        if (delay and words) or len(ready) == BATCH:
            yield Emit(ready)
            yield Sleep(delay)
            ready = []
        ready.append(event)
        words += 1
    yield Emit(ready)
    if "error" in script:
        raise _error_of(script["error"])
    if script.get("cut"):
        raise TruncatedError("echo: the script cuts the reply off")
    end = _end(script, conversation, words)
    check_record({**end, "response_id": ""})
    yield Emit([end])
