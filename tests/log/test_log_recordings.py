"""Every recorded conversation is stored in the log and read back equal, and the next request built
from it is the same, byte for byte.

support.recordings and support.recorded read the recordings.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llmtools.errors import LlmToolsError
from llmtools.log.recorder import Recorder
from llmtools.log.store import Store
from llmtools.log.upkeep import verify
from llmtools.protocols import load
from llmtools.protocols.request import Request
from llmtools.records.canonical import canonical_json
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps, loads
from support.harness import Shell
from support.recorded import anthropic, chat, gemini, interactions, ollama, responses
from support.recordings import read, whole

Object = dict[str, Any]

ISSUER = "recorded"
TOOL = {"type": "tool", "name": "recorded", "description": "one", "input_schema": {"type": "object"}}
OURS = {
    anthropic: load("anthropic"),
    chat: load("openai-chat"),
    gemini: load("gemini"),
    interactions: load("gemini-interactions"),
    ollama: load("ollama"),
    responses: load("openai-responses"),
}
"""The recordings of each protocol -> our module of the protocol."""
MODULES = {module.__name__.rpartition(".")[2]: module for module in OURS if module.STREAMS}
if not MODULES:
    pytest.skip("no recordings", allow_module_level=True)


def text(role: str, content: str) -> Object:
    return {"type": "message", "role": role, "parts": [{"type": "text", "text": content}]}


def response(module: Any, name: str) -> list[Object]:
    """Return the records of a response as llm-send writes them: events, the message, its end."""
    data = read(name)
    if name in module.STREAMS:
        records = module.decode(name, data) if module is chat else module.decode(data)
    else:
        try:
            records = OURS[module].Decoder(ISSUER).body(data)
        except LlmToolsError as error:
            records = [dict(error.to_record())]
    start = {"type": "start", "response_id": "r", "model": "m", "provider": ISSUER}
    records = [{**start, **record} if record["type"] == "start" else record for record in records]
    failed = any(record["type"] == "error" for record in records)
    end: Object = {"type": "end", "response_id": f"r {name}", "status": "error" if failed else "ok"}
    if failed:
        end["exit_status"] = 75
    ends = [{**end, **record} for record in records if record["type"] == "end"] or [end]
    before = [record for record in records if record["type"] != "end"]
    message = whole([*before, *ends])
    return [*before, message, *ends]


def conversation(module: Any, name: str) -> list[Object]:
    """Return a conversation with a recorded response, the results of its calls, and another message."""
    records = response(module, name)
    message = next(record for record in records if record["type"] == "message")
    pending = Conversation([text("user", "x"), message]).pending_calls()
    results = [
        {"type": "tool_result", "name": call["name"], "output": "42", "tool_call_id": call["tool_call_id"]}
        for call in pending
    ]
    answers: list[Object] = [{"type": "message", "role": "tool", "parts": results}] if results else []
    return [TOOL, text("user", f"question of {name}"), *records, *answers, text("user", "go on")]


def history(records: list[Object]) -> list[Object]:
    return [record for record in records if record["type"] in ("message", "tool")]


def request(module: Any, records: list[Object]) -> Any:
    """Return the next request, or why there is none: a failed reply may not fit into one."""
    try:
        return OURS[module].encode(Conversation(records), Request("m", "m", ISSUER))
    except LlmToolsError as error:
        return str(error)


def names(module: Any) -> list[str]:
    return [*module.STREAMS, *module.BODIES]


@pytest.mark.exhaustive
@pytest.mark.parametrize("protocol", MODULES)
def test_a_recorded_conversation_is_read_back_and_makes_the_same_request(protocol: str, tmp_path: Path) -> None:
    module: ModuleType = MODULES[protocol]
    log = Store(tmp_path / "log.db")
    tips = {}
    for name in names(module):
        recorder = Recorder()
        for record in conversation(module, name):
            recorder.feed(record)
            if record["type"] == "end":
                log.write(recorder.unsaved_conversations())  # as the filter does
        recorder.eof()
        log.write(recorder.unsaved_conversations())
        tips[name] = recorder.conversation.hash.hex()
    for name, tip in tips.items():  # when all are stored, so that one could disturb another
        records = history(conversation(module, name))
        back = [loads(line) for line in log.lines(tip)]
        assert back == records, name
        for one, other in zip(back, records, strict=True):
            assert one["type"] == "tool" or canonical_json(one) == canonical_json(other)  # type: ignore[arg-type]
        assert request(module, back) == request(module, records), name
    assert len(tips) > 10 and verify(log)[1] == []
    log.close()


@pytest.mark.parametrize("protocol", MODULES)
def test_a_recorded_conversation_through_the_commands(protocol: str, shell: Shell) -> None:
    """Conversation records go through the filter, are exported, imported into another log, and exported again."""
    module = MODULES[protocol]
    records = [
        {
            "type": "conversation",
            "id": name,
            "messages": [record for record in conversation(module, name) if record["type"] == "message"],
            "tools": [TOOL],
        }
        for name in names(module)
    ]
    stream = b"".join([dumps(record) + b"\n" for record in records])
    shell.environment["LLMTOOLS_DATA"] = str(shell.folder / "data")
    done = shell.run("llm-log --require", stream)
    assert done.out == stream and done.err == ""
    exported = shell.run(
        "llm-log export | tee first | llm-log -d other/log.db import -q - && llm-log -d other/log.db export"
    )
    back = {record["id"]: record for record in map(json.loads, exported.out.splitlines())}
    assert len(back) == len(records)
    for record in records:
        messages = [{"type": "message", **message} for message in back[record["id"]]["messages"]]
        assert messages == record["messages"], record["id"]
    assert sorted((shell.folder / "first").read_bytes().splitlines()) == sorted(exported.out.splitlines())


def test_recorded_requests_are_read_back(tmp_path: Path) -> None:
    """The conversations and tools of an Anthropic client's recorded requests are read back complete."""
    log, count = Store(tmp_path / "log.db"), 0
    for name in anthropic.REQUESTS:
        data = read(name)
        if b"elided by" in data:  # part of the file was removed, so its base64 is invalid
            continue
        records = [json.loads(json.dumps(record)) for record in anthropic.records_of(json.loads(data))]
        recorder = Recorder()
        for record in records:
            recorder.feed(record)
        log.write(recorder.unsaved_conversations())
        back = [loads(line) for line in log.lines(recorder.conversation.hash.hex())]
        assert history(back) == history(records), name
        assert request(anthropic, back) == request(anthropic, records)
        count += 1
    assert count > len(anthropic.REQUESTS) * 0.9
