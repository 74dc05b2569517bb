"""Every protocol at aimock, a mock of all vendors (see `support.aimock`). What it gets wrong of them
is not asserted here: only what our side makes of it, and how it understood our requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import llmtools
from llmtools.protocols import PROTOCOLS
from support import sample_conversations as talk
from support.aimock import BASES, KEY, Mock, require, text_of
from support.harness import Done, Shell, texts

pytestmark = pytest.mark.slow
Object = dict[str, Any]

PLAIN = "Grüße aus Zürich, 你好 🙂."
THOUGHT, CONCLUSION = "They ask why, 想一想.", "Because it rains."
LOOK, SUNNY = "Let me look.", "It is sunny."
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
LONG = "abcd" * 30


def fixtures() -> list[Object]:
    """Return what it says to what; a busy one counts its requests, so each protocol has its own."""
    calls = [
        {"id": f"call_{place}", "name": "get_weather", "arguments": arguments}
        for place, arguments in enumerate(talk.CALLS)
    ]
    busy = {"error": {"message": "slow down", "type": "rate_limit_error"}, "status": 429, "retryAfter": 1}
    broken = {"error": {"message": "it broke", "type": "server_error"}, "status": 500}
    said: list[Object] = [
        _fixture("plain", {"content": PLAIN, "usage": USAGE}),
        _fixture("why", {"content": CONCLUSION, "reasoning": THOUGHT}),
        _fixture("short", {"content": "So", "finishReason": "length"}),
        _fixture("weather", {"content": SUNNY}, hasToolResult=True),
        _fixture("weather", {"content": LOOK, "reasoning": THOUGHT, "toolCalls": calls}),
        _fixture("broken", broken),
        {**_fixture("cut", {"content": LONG}), "latency": 50, "truncateAfterChunks": 12},
        {**_fixture("gone", {"content": LONG}), "chaos": {"disconnectRate": 1}},
        {**_fixture("garbled", {"content": LONG}), "chaos": {"malformedRate": 1}},
        _fixture(talk.NEXT, {"content": talk.SAID}),
    ]
    for protocol in PROTOCOLS:
        said += [
            _fixture(f"busy {protocol}", busy, sequenceIndex=0),
            _fixture(f"busy {protocol}", {"content": PLAIN}, sequenceIndex=1),
        ]
    return said


def _fixture(said: str, response: Object, **match: Any) -> Object:
    return {"match": {"userMessage": said, **match}, "response": response}


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    require()
    with closing(Mock(fixtures(), tmp_path_factory.mktemp("aimock"))) as mock:
        yield mock


SPOKEN = [protocol for protocol in PROTOCOLS if protocol != "gemini-interactions"]
"""The protocols that it speaks in full. In Interactions it has no thoughts and no limit on the length, streams
unless `stream` is false, and leaves the calls of a request out."""
IN_FULL = pytest.mark.parametrize("protocol", SPOKEN, indirect=True)


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Pipe:
    """A shell, and what asks the mock in one protocol."""

    def __init__(self, shell: Shell, mock: Mock, protocol: str) -> None:
        self.shell, self.mock, self.protocol = shell, mock, protocol
        shell.environment["K"] = KEY
        self.ask = f"llm-send --base-url {mock.origin}{BASES[protocol]} --protocol {protocol} -m m --key-env K"

    def run(self, said: str, options: str = "--retries 0") -> Done:
        return self.shell.run(f"llm-msg user '{said}' | {self.ask} {options}")

    @property
    def path(self) -> str:
        """Where the protocol's requests go."""
        return f"{BASES[self.protocol]}{_PATHS[self.protocol]}"


_PATHS = {
    "openai-chat": "/chat/completions",
    "openai-responses": "/responses",
    "anthropic": "/v1/messages",
    "gemini": "/models/m:streamGenerateContent?alt=sse",
    "gemini-interactions": "/interactions",
    "ollama": "/api/chat",
}


@pytest.fixture
def pipe(shell: Shell, mock: Mock, protocol: str) -> Pipe:
    return Pipe(shell, mock, protocol)


def chunks(records: list[Object], kind: str) -> list[str]:
    return [record["chunk"] for record in records if record["type"] == kind]


def reply_of(records: list[Object]) -> Object:
    """Return the last message, which must be what its events make."""
    message = [record for record in records if record["type"] == "message"][-1]
    assert dict(llmtools.message_of(records)) == message
    return message


def said_of(message: Object) -> list[tuple[str, Any]]:
    """Return what each part says: its text, or the arguments of a call. Reasoning of which the
    mock gives nothing but what is encrypted, as it does where it was asked for that, is none."""
    said = [(part["type"], part.get("text", part.get("arguments"))) for part in message["parts"]]
    return [part for part in said if part != ("reasoning", "")]


def test_text_comes_in_pieces_and_whole(pipe: Pipe) -> None:
    done = pipe.run("plain")
    assert done.status == 0, done.err
    assert len(chunks(done.records, "text")) > 3
    assert said_of(reply_of(done.records)) == [("text", PLAIN)]
    assert (done.records[-1]["status"], done.records[-1]["finish_reason"]) == ("ok", "stop")
    assert pipe.mock.requests("plain")[-1]["path"] == pipe.path


@IN_FULL
def test_without_streaming_the_message_is_the_same(pipe: Pipe) -> None:
    streamed, whole = (pipe.run("why", option).records for option in ("", "--no-stream"))
    assert whole[-1]["finish_reason"] == "stop"
    assert said_of(reply_of(streamed)) == said_of(reply_of(whole)) == [("reasoning", THOUGHT), ("text", CONCLUSION)]


@IN_FULL
def test_reasoning_comes_in_pieces_and_is_not_printed(pipe: Pipe) -> None:
    done = pipe.run("why", "| tee all.jsonl | llm-parts")
    assert (done.status, done.text) == (0, CONCLUSION + "\n")
    records = pipe.shell.run("cat all.jsonl").records
    assert len(chunks(records, "reasoning")) > 3
    assert said_of(reply_of(records)) == [("reasoning", THOUGHT), ("text", CONCLUSION)]


@IN_FULL
def test_a_limit_on_the_length_is_a_success(pipe: Pipe) -> None:
    done = pipe.run("short")
    assert done.status == 0
    finish = "stop" if pipe.protocol == "ollama" else "length"  # the mock says "stop" there
    assert done.records[-1]["finish_reason"] == finish
    assert said_of(reply_of(done.records)) == [("text", "So")]


@IN_FULL
def test_parallel_calls_and_the_answer_to_their_results(pipe: Pipe) -> None:
    (pipe.shell.folder / "tool.jsonl").write_text(json.dumps(talk.TOOL) + "\n")
    asked = pipe.shell.run(f"llm-msg user 'weather of {pipe.protocol}' < tool.jsonl | {pipe.ask}")
    assert asked.status == 0, asked.err
    reply = reply_of(asked.records)
    called = [("tool_call", arguments) for arguments in talk.CALLS]
    assert said_of(reply) == [("reasoning", THOUGHT), ("text", LOOK), *called]
    assert asked.records[-1]["finish_reason"] == "tool_calls"
    answered = pipe.shell.run(f"{pipe.ask} | llm-parts --last", stdin=asked.out + line(talk.results(reply)))
    assert (answered.status, answered.text) == (0, SUNNY + "\n"), answered.err
    check_understood(pipe.mock.requests(f"weather of {pipe.protocol}")[-1]["body"]["messages"])


def line(record: Object) -> bytes:
    return json.dumps(record).encode() + b"\n"


def check_understood(messages: list[Object]) -> None:
    """The mock has found the calls in the request, and both results behind them."""
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    assert [call["function"]["name"] for call in calls] == ["get_weather"] * 2
    assert [json.loads(call["function"]["arguments"]) for call in calls] == talk.CALLS
    results = [message for message in messages if message["role"] == "tool"]
    assert [id_of(result) for result in results] in ([None, None], [call["id"] for call in calls])
    assert talk.OUTPUT in text_of(results[0])
    assert talk.FAILED in text_of(results[1])


def id_of(result: Object) -> str | None:
    """Return the id of a result; the mock reads none in Ollama's."""
    return result.get("tool_call_id")


def test_a_rate_limit_is_waited_out_as_long_as_it_says(pipe: Pipe) -> None:
    done = pipe.run(f"busy {pipe.protocol}", "--retries 1")
    assert done.status == 0, done.err
    notice = next(record for record in done.records if record["type"] == "notice")
    assert notice["code"] == "retry" and notice["message"].startswith("slow down; trying again in 1.")
    assert said_of(reply_of(done.records)) == [("text", PLAIN)]
    statuses = [entry["response"]["status"] for entry in pipe.mock.requests(f"busy {pipe.protocol}")]
    assert statuses == [429, 200]


def test_a_wrong_key_is_reported_once_and_never_shown(pipe: Pipe) -> None:
    pipe.shell.environment["K"] = "wrong-key-of-nobody"
    done = pipe.run("plain", "--retries 3 | tee all.jsonl | llm-parts")
    assert (done.status, done.out) == (77, b"")
    words = r"llm-send: m: 401 the key from the variable K was refused: Invalid API key \(request \S+\)\n"
    assert re.fullmatch(words, done.err)
    everything = (pipe.shell.folder / "all.jsonl").read_text()
    assert "wrong-key" not in everything + done.err
    assert [record["type"] for record in map(json.loads, everything.splitlines())] == ["message", "error"]


def test_a_server_error_is_reported_in_its_words(pipe: Pipe) -> None:
    before = len(pipe.mock.requests("broken"))
    done = pipe.run("broken", "--retries 1")
    assert done.status == 69
    assert re.fullmatch(r"llm-send: m: 500 it broke \(request \S+\)\n", done.err)
    assert done.records[-1]["http_status"] == 500
    assert len(pipe.mock.requests("broken")) == before + 2


def test_what_came_before_a_cut_is_kept(pipe: Pipe) -> None:
    done = pipe.run("cut", "--retries 0 --save saved.jsonl")
    assert done.status == 75
    end, reply = done.records[-1], reply_of(done.records)
    assert (end["status"], end["exit_status"]) == ("truncated", 75)
    text = "".join(chunks(done.records, "text"))
    assert text and LONG.startswith(text) and text != LONG
    assert texts(done.records)[-1] == ("assistant", text)
    saved = pipe.shell.run("cat saved.jsonl").records
    assert saved == [done.records[0], reply]


@pytest.mark.parametrize(("said", "status"), [("gone", 69), ("garbled", 75)])
def test_a_broken_answer_is_an_error_and_not_a_reply(pipe: Pipe, said: str, status: int) -> None:
    """The connection closes before a byte; or the answer is 200, and no JSON."""
    done, statuses = pipe.shell.statuses(f"llm-msg user {said} | {pipe.ask} --retries 0 | llm-parts")
    assert statuses == [0, status, status]
    assert done.out == b""


@IN_FULL
@pytest.mark.parametrize("other", PROTOCOLS)
def test_what_another_vendor_began_is_understood(pipe: Pipe, other: str) -> None:
    begun = talk.begun(other, f"http://{other}.example")
    asked = f"{talk.NEXT} ({other}, {pipe.protocol})"
    done = pipe.shell.run(f"llm-msg user '{asked}' | {pipe.ask} | llm-parts --last", stdin=b"".join(map(line, begun)))
    assert (done.status, done.text) == (0, talk.SAID + "\n"), done.err
    messages = pipe.mock.requests(asked)[-1]["body"]["messages"]
    check_understood(messages)
    spoken = [
        (message["role"], text) for message in messages if (text := text_of(message)) and message["role"] != "tool"
    ]
    assert spoken == [
        ("system", talk.SYSTEM),
        ("user", talk.QUESTION),
        ("assistant", talk.CITED),
        ("user", asked),
    ]
