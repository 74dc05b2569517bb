"""The Anthropic Messages decoder and encoder against recorded traffic.

JUSTIFIED lists where EXPECTED.jsonl differs from us, each difference with its reason.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from llmtools.protocols.anthropic.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from support.decoding import machines
from support.harness import request_to
from support.paths import RECORDINGS
from support.recorded.anthropic import (
    BODIES,
    REQUESTS,
    STREAMS,
    decode,
    events_of,
    final_blocks,
    less_output_only,
    records_of,
    rest,
)
from support.recordings import (
    ISSUER,
    Object,
    call_of,
    cut_apart,
    ended,
    fed,
    lines,
    names,
    read,
    sampled,
    status_of,
    whole,
)

Decoder = machines("anthropic")

_ITERATIONS = "usage is summed over the vendor's internal iterations; the oracle reads the counts on top"
_CACHE = "input_tokens excludes cached, total in is input + cache_creation + cache_read"
JUSTIFIED: dict[tuple[str, str], str] = {
    ("anthropic/chatlas__test_anthropic_search_panel--1.sse", "input"): _CACHE,
    ("anthropic/pypi-anthropic-2.10.0__message_delta_omitted_usage_response.sse", "input"): _CACHE,
    ("anthropic/rig__anthropic-reasoning_usage_matrix-streaming_with_prompt_caching.sse", "input"): _CACHE,
    ("anthropic/ai__anthropic-fallback.chunks.jsonl", "input"): _ITERATIONS,
    ("anthropic/pydantic-ai__test_anthropic_advisor_tool_stream.sse", "input"): _ITERATIONS,
    ("anthropic/pydantic-ai__test_anthropic_advisor_tool_stream.sse", "output"): _ITERATIONS,
    ("anthropic/pydantic-ai__test_anthropic_compaction_usage_with_cache_streaming.sse", "input"): _ITERATIONS,
    ("anthropic/pydantic-ai__test_anthropic_compaction_usage_with_cache_streaming.sse", "output"): _ITERATIONS,
}


EXPECTED = lines("EXPECTED.jsonl")
HEADERS = lines("HEADERS.jsonl")
ERRORS = names("anthropic/errors/*.json")

pytestmark = pytest.mark.skipif(not STREAMS, reason=f"no recordings in {RECORDINGS}")


def reply_of(records: list[Object], heard: Object) -> Object:
    """The fields of EXPECTED.jsonl that our records give; `heard` is the decoder's known_end."""
    message = whole(records)
    end: Object = next((record for record in records if record["type"] == "end"), {})
    parts = message["parts"]
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return {
        "text": (len(text), hashlib.sha256(text.encode()).hexdigest()),
        "reasoning": sum(len(part["text"]) for part in parts if part["type"] == "reasoning"),
        "calls": [(*call_of(part), "server_executed" in part) for part in parts if part["type"] == "tool_call"],
        "finish": end.get("finish_reason_raw", end.get("finish_reason")),
        "input": heard.get("usage", {}).get("input"),
        "output": heard.get("usage", {}).get("output"),
        "annotations": sum(len(part.get("annotations", ())) for part in parts),
        "error": next((record["message"] for record in records if record["type"] == "error"), None),
    }


def oracle(name: str) -> Object:
    line = EXPECTED[name]
    calls = sorted(line["tool_calls"], key=_is_served)  # some lines have them in the order of the stream
    return {
        "text": (line["text_len"], line["text_sha256"]),
        "reasoning": line["reasoning_len"],
        "calls": [(call["name"], _arguments(call), _is_served(call)) for call in calls],
        "finish": line["finish"],
        "input": line["input_tokens"],
        "output": line["output_tokens"],
        "annotations": line["n_citations"],
        "error": line["error"] and line["error"]["message"],
    }


def _is_served(call: Object) -> bool:
    return "server" in call


def _arguments(call: Object) -> Any:
    return json.loads(call["args"]) if call["args_json"] else call["args"]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_what_the_oracle_read(name: str) -> None:
    machine = Decoder(ISSUER)
    ours, theirs = reply_of(fed(machine, read(name)), machine.known_end()), oracle(name)
    ours["calls"].sort(key=lambda call: call[-1])  # the oracle lists the calls that the server ran last
    wrong = {field for field in ours if ours[field] != theirs[field]}
    assert wrong == {field for file, field in JUSTIFIED if file == name}, (ours, theirs)


def test_every_justified_difference_is_one() -> None:
    assert {name for name, _ in JUSTIFIED} <= set(STREAMS)


def blocks_of(data: bytes) -> list[Object]:
    """The content of a stream's message: the blocks with which it starts, and those that follow."""
    starts = [event["message"] for event in events_of(data) if event["type"] == "message_start"]
    return [*(block for start in starts for block in start.get("content", ())), *final_blocks(data)]


def sent_back(records: list[Object]) -> list[Object]:
    """The blocks that the encoder makes of what the decoder made."""
    conversation = Conversation([whole(records), {"type": "message", "role": "user", "parts": [_GO_ON]}])
    request, notices = encode(conversation, Request("m", "m", ISSUER))
    assert [notice for notice in notices if "no signature" not in notice["message"]] == []
    messages = json.loads(request.body)["messages"]
    blocks: list[Object] = messages[0]["content"] if messages[0]["role"] == "assistant" else []
    return blocks


_GO_ON = {"type": "text", "text": "go on"}


@pytest.mark.parametrize("name", STREAMS)
def test_second_law_of_a_stream(name: str) -> None:
    data = read(name)
    assert sent_back(decode(data)) == less_output_only(blocks_of(data))


@pytest.mark.parametrize("name", BODIES)
def test_second_law_of_a_body(name: str) -> None:
    data = read(name)
    assert sent_back(Decoder(ISSUER).body(data)) == less_output_only(json.loads(data)["content"])


@pytest.mark.parametrize("name", BODIES)
def test_a_body_says_what_is_in_it(name: str) -> None:
    data = read(name)
    body = json.loads(data)
    machine = Decoder(ISSUER)
    records = machine.body(data)
    reply, blocks, usage = reply_of(records, machine.known_end()), body["content"], body["usage"]
    text = "".join([block["text"] for block in blocks if block["type"] == "text"])
    assert reply["text"] == (len(text), hashlib.sha256(text.encode()).hexdigest())
    assert reply["reasoning"] == sum(len(block["thinking"]) for block in blocks if block["type"] == "thinking")
    called = [block for block in blocks if block["type"].endswith("tool_use")]
    assert reply["calls"] == [(block["name"], block["input"], block["type"] != "tool_use") for block in called]
    assert reply["finish"] == body["stop_reason"]
    assert reply["annotations"] == sum(len(block.get("citations") or ()) for block in blocks)
    counted = usage.get("iterations") or [usage]
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert reply["input"] == sum(one.get(name) or 0 for one in counted for name in names)
    assert reply["output"] == sum(one["output_tokens"] for one in counted)
    said = {name: value for name, value in usage.items() if value is not None}
    assert records[-1]["details"][ISSUER]["usage"] == said


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_the_place_of_events(name: str) -> None:
    data = read(name)
    expected = Decoder(ISSUER).body(data)
    assert decode(data) == expected
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == expected


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STREAMS)
def test_cuts_make_no_difference(name: str) -> None:
    data = read(name)
    expected = decode(data)
    for pieces in cut_apart(name, data):
        assert decode(*pieces) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_the_ends_of_lines_make_no_difference(name: str) -> None:
    data = read(name)
    if b"\r" not in data:
        assert decode(data.replace(b"\n", b"\r\n")) == decode(data)


def terminal(data: bytes) -> int:
    """How many bytes make the terminal event: those up to the end of its JSON."""
    at = 0
    for line in data.split(b"\n"):
        if line.startswith(b"data:") and json.loads(line[5:]).get("type") == "message_stop":
            return at + len(line.rstrip())
        at += len(line) + 1
    return len(data) + 1


def check_prefixes(name: str, positions: list[int]) -> None:
    data = read(name)
    least, machine, fed = terminal(data), Decoder(ISSUER), 0
    for position in positions:
        before = machine.feed(data[fed:position])
        fed = position
        if any(record["type"] in ("error", "end") for record in before):
            assert position >= least or before[-1]["type"] == "error", position
            return
        records = ended(machine)
        kinds = [record["type"] for record in records]
        assert kinds[-1] == ("error" if position < least else "end"), position
        assert position >= least or "end" not in kinds, position


@pytest.mark.parametrize("name", STREAMS)
def test_a_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, sampled(name, read(name), terminal(read(name))))


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_every_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, list(range(len(read(name)) + 1)))


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_message_and_status(name: str) -> None:
    data = read(name)
    status = status_of(name)
    failure = error_of(status, HEADERS.get(name, {}).get("headers", {}), data)
    assert failure.message == json.loads(data)["error"]["message"]
    assert failure.details["http_status"] == status
    assert failure.exit_status == {400: 65, 401: 77}[status]
    assert failure.details["retryable"] is False


# What real clients sent next.


def assistant_contents(name: str) -> list[list[Object]]:
    said = [message for message in json.loads(read(name))["messages"] if message["role"] == "assistant"]
    contents = [message["content"] for message in said]
    return [[{"type": "text", "text": item}] if isinstance(item, str) else item for item in contents]


@pytest.mark.parametrize("name", [name for name in REQUESTS if assistant_contents(name)])
def test_a_recorded_reply_survives_our_format(name: str) -> None:
    """Each assistant message in any request, taken for a reply, is sent back as it was."""
    for content in assistant_contents(name):
        body = {"id": "r", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}
        assert sent_back(Decoder(ISSUER).body(json.dumps(body).encode())) == less_output_only(content)


_SEARCH = "ruby_llm__chat_web_search_with_anthropic_claude-haiku-4-5_streams_search_turns_and_reconstructs_them"
_DISPLAY = "llm-anthropic__test_fixed_version_tool_chain_with_thinking_display_regression"
_REPLAYED = {
    # A later request whose last reply is one that was recorded.
    f"anthropic/{_DISPLAY}--1.request.json": f"anthropic/{_DISPLAY}.sse",
    f"anthropic/unary/{_SEARCH}--1.request.json": f"anthropic/{_SEARCH}.sse",
    "anthropic/rig__anthropic-opus_4_7-messages_adaptive_thinking_streaming_smoke--1.request.json": (
        "anthropic/rig__anthropic-opus_4_7-messages_adaptive_thinking_streaming_smoke.sse"
    ),
    "anthropic/unary/pypi-langchain_anthropic-1.7.10__test_code_execution_old--2.request.json": (
        "anthropic/pypi-langchain_anthropic-1.7.10__test_code_execution_old--1.sse"
    ),
    "anthropic/unary/pypi-langchain_anthropic-1.7.10__test_tool_search--1.request.json": (
        "anthropic/unary/pypi-langchain_anthropic-1.7.10__test_tool_search.json"
    ),
}


def _without_caller(blocks: list[Object]) -> list[Object]:
    """Two of those clients drop a `caller` that is `direct`, which is the default; we send it back."""
    return [{name: value for name, value in block.items() if name != "caller"} for block in blocks]


@pytest.mark.parametrize("name", _REPLAYED)
def test_the_next_request_sends_the_same_reply(name: str) -> None:
    theirs, reply = assistant_contents(name)[-1], _REPLAYED[name]
    data = read(reply)
    ours = sent_back(Decoder(ISSUER).body(data) if reply.endswith(".json") else decode(data))
    assert _without_caller(ours) == _without_caller(less_output_only(theirs))


# Whole requests, taken apart into our records and made again.


def normal(request: Object) -> Object:
    """A request with each content as a list of blocks, and without what is the default."""
    found = {name: value for name, value in request.items() if value not in ([], False, None)}
    if isinstance(found.get("system"), str):
        found["system"] = [{"type": "text", "text": found["system"]}]
    found["messages"] = [{**message, "content": _normal(message["content"])} for message in found["messages"]]
    return found


def _normal(content: Any) -> list[Object]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else less_output_only(content)
    found = []
    for block in blocks:
        said = {name: value for name, value in block.items() if not (name == "is_error" and value is False)}
        if said["type"] == "tool_result":
            said["content"] = _normal(said.get("content", ""))
        found.append(said)
    return found


def _has_search_results(request: Object) -> bool:
    """Whether a result of the user's has blocks of its own kind, which our results do not hold: what is sent of a
    result is its output."""
    contents = [block.get("content") for message in request["messages"] for block in _normal(message["content"])]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return any(block.get("type") == "search_result" for block in blocks)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_recorded_request_is_made_again(name: str) -> None:
    theirs = json.loads(read(name))
    is_refused = _has_search_results(theirs)
    options = rest(theirs, "model", "messages", "system", "tools", "stream", "tool_choice", "container")
    options.setdefault("thinking", None)  # of a model that thinks by itself, we ask for the text
    choice = theirs.get("tool_choice")
    said = {"auto": "auto", "any": "required", "none": "none"}[choice["type"]] if choice else None
    is_stream = theirs.get("stream") is True
    asked = request_to("anthropic", theirs["model"], ISSUER, options=options, tool_choice=said, stream=is_stream)
    records = records_of(theirs)
    for record in records:
        check_record(record)
    http, notices = encode(Conversation(records), asked)
    if is_refused:
        assert [notice["code"] for notice in notices] == ["dropped_metadata"]
        return
    assert notices == []
    ours = json.loads(http.body)
    if "container" in theirs:  # which that client knew from the reply, that is not here
        ours["container"] = theirs["container"]
    assert normal(ours) == normal(theirs)
    has_sampling = not options.keys().isdisjoint(("temperature", "top_p", "top_k"))
    assert http.headers["anthropic-version"] == ("2023-06-01" if has_sampling else "2026-10-21")
