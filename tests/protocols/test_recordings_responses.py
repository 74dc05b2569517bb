"""The OpenAI Responses decoder and encoder against recorded traffic.

JUSTIFIED lists where EXPECTED.jsonl differs from us, each difference with its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from llmtools.protocols.openai_responses.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from support.decoding import machines
from support.harness import request_to
from support.paths import RECORDINGS
from support.recorded.responses import (
    BODIES,
    QUEUED,
    STREAMS,
    decode,
    events_of,
    final_items,
    less_output_only,
    without_empty,
)
from support.recordings import (
    ISSUER,
    Object,
    call_of,
    cut_apart,
    ended,
    lines,
    names,
    read,
    requests,
    sampled,
    status_of,
    whole,
)

Decoder = machines("openai-responses")

_SEVERAL = "the file holds four responses one after the other; a reply ends with the first"
_REASON = "incomplete_details.reason is the vendor's word for why"
_NO_END = "the finish stands in `end`, which the decoder does not make of a stream that failed"
_TRIMMED = "chunks were taken out of that file; the oracle reads those left, we what output_text.done says"
_APPROVAL = "a call that needs approval is a call; the oracle reads function calls alone"
_TWO = "responses/prism__openai-stream-unknown-error-responses-1.sse"
_ALL = "responses/ai__azure-reasoning-encrypted-content.1.chunks.jsonl"
JUSTIFIED: dict[tuple[str, str], str] = {
    (_ALL, "text"): _SEVERAL,
    (_ALL, "calls"): _SEVERAL,
    (_ALL, "input"): _SEVERAL,
    (_ALL, "output"): _SEVERAL,
    ("responses/rig__openai-streaming_grammar-incomplete_max_output_tokens.sse", "finish"): _REASON,
    ("responses/ai__openai-error.1.chunks.jsonl", "finish"): _NO_END,
    (_TWO, "finish"): _NO_END,
    (_TWO, "error"): "an error event says Foobar, response.failed then something else; the first is told",
    ("responses/ai__openai-mcp-tool-approval.1-0.sse", "calls"): _APPROVAL,
    ("responses/ai__openai-mcp-tool-approval.3-0.sse", "calls"): _APPROVAL,
    ("responses/ai__openai-shell-container.1.chunks.jsonl", "text"): _TRIMMED,
    ("responses/ai__openai-phase.1.chunks.jsonl", "text"): _TRIMMED,
}


EXPECTED = lines("EXPECTED.jsonl")
HEADERS = lines("HEADERS.jsonl")
ERRORS = names("responses/errors/*.json")
REQUESTS = requests("responses")

pytestmark = pytest.mark.skipif(not STREAMS, reason=f"no recordings in {RECORDINGS}")


def is_ours_to_run(part: Object) -> bool:
    return part["type"] == "tool_call" and not part.get("server_executed")


def is_of_the_user(part: Object) -> bool:
    """Whether a part is a call of a function or of a custom tool, which the user named."""
    own = part.get("provider_metadata", {}).get(ISSUER, {})
    return is_ours_to_run(part) and own.get("type", "custom_tool_call") == "custom_tool_call"


def counted_calls(name: str) -> Callable[[Object], bool]:
    """Which calls the oracle counts: older lines have those of the user's own tools, newer ones
    all that are ours to run, such as a patch."""
    return is_ours_to_run if "server_calls" in EXPECTED[name] else is_of_the_user


def reply_of(records: list[Object], is_counted: Callable[[Object], bool] = is_of_the_user) -> Object:
    """The fields of EXPECTED.jsonl that our records give."""
    message = whole(records)
    end: Object = next((record for record in records if record["type"] == "end"), {})
    parts = message["parts"]
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return {
        "text": (len(text), hashlib.sha256(text.encode()).hexdigest()),
        "reasoning": sum(len(part["text"]) for part in parts if part["type"] == "reasoning"),
        "calls": [call_of(part) for part in parts if is_counted(part)],
        "finish": end.get("finish_reason_raw", end.get("finish_reason")),
        "input": end.get("usage", {}).get("input"),
        "output": end.get("usage", {}).get("output"),
        "annotations": sum(len(part.get("annotations", ())) for part in parts),
        "error": next((record["message"] for record in records if record["type"] == "error"), None),
    }


def arguments_of(text: str) -> Any:
    """The arguments of a call; the free text of a custom tool is its one argument."""
    try:
        return json.loads(text)
    except ValueError:
        return {"input": text}


def oracle(name: str) -> Object:
    line = EXPECTED[name]
    return {
        "text": (line["text_len"], line["text_sha256"]),
        "reasoning": line["reasoning_len"],
        "calls": [(call["name"], arguments_of(call["args"])) for call in line["tool_calls"]],
        "finish": line["finish"],
        "input": line["input_tokens"],
        "output": line["output_tokens"],
        "annotations": line["n_citations"],
        "error": line["error"] and line["error"]["message"],
    }


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_what_the_oracle_read(name: str) -> None:
    ours, theirs = reply_of(decode(read(name)), counted_calls(name)), oracle(name)
    wrong = {field for field in ours if ours[field] != theirs[field]}
    assert wrong == {field for file, field in JUSTIFIED if file == name}, (ours, theirs)


def test_every_justified_difference_is_one() -> None:
    assert {name for name, _ in JUSTIFIED} <= set(STREAMS)


def responses_in(name: str) -> list[bytes]:
    """The responses of a file, as streams of their own."""
    found: list[list[Object]] = []
    for event in events_of(read(name)):
        if event["type"] == "response.created":
            found.append([])
        found[-1].append(event)
    return [b"".join([b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]) for events in found]


def sent_back(records: list[Object]) -> list[Object]:
    """The items that the encoder makes of what the decoder made."""
    conversation = Conversation([whole(records), {"type": "message", "role": "user", "parts": [_GO_ON]}])
    request, notices = encode(conversation, Request("m", "m", ISSUER))
    assert [notice for notice in notices if "no ciphertext" not in notice["message"]] == []
    items = json.loads(request.body)["input"]
    assert items.pop() == {"type": "message", "role": "user", "content": "go on"}
    return less_output_only(items)


_GO_ON = {"type": "text", "text": "go on"}


@pytest.mark.parametrize("name", STREAMS)
def test_second_law_of_a_stream(name: str) -> None:
    for data in responses_in(name):
        assert sent_back(decode(data)) == less_output_only(final_items(data))


@pytest.mark.parametrize("name", BODIES)
def test_second_law_of_a_body(name: str) -> None:
    data = read(name)
    assert sent_back(Decoder(ISSUER).body(data)) == less_output_only(json.loads(data)["output"])


@pytest.mark.parametrize("name", BODIES)
def test_a_body_says_what_is_in_it(name: str) -> None:
    data = read(name)
    body = json.loads(data)
    records = Decoder(ISSUER).body(data)
    reply, items, usage = reply_of(records), body["output"], body["usage"]
    contents = [block for item in items if item["type"] == "message" for block in item["content"]]
    texts = [block for block in contents if block["type"] == "output_text"]
    text = "".join([block["text"] for block in texts])
    assert reply["text"] == (len(text), hashlib.sha256(text.encode()).hexdigest())
    thoughts = [item for item in items if item["type"] == "reasoning"]
    spoken = [block["text"] for item in thoughts for block in (item["summary"] + (item.get("content") or []))]
    assert reply["reasoning"] == len("".join(spoken))
    called = [item for item in items if item["type"] in ("function_call", "custom_tool_call")]
    arguments = [arguments_of(item.get("arguments", item.get("input"))) for item in called]
    assert reply["calls"] == [(item["name"], given) for item, given in zip(called, arguments, strict=True)]
    assert reply["annotations"] == sum(len(block.get("annotations") or ()) for block in texts)
    assert (reply["input"], reply["output"]) == (usage["input_tokens"], usage["output_tokens"])
    assert records[-1]["details"][ISSUER]["usage"] == usage
    refusals = [part["text"] for part in whole(records)["parts"] if part["type"] == "refusal"]
    assert refusals == [block["refusal"] for block in contents if block["type"] == "refusal"]
    is_calling = called or any(item["type"] in ("apply_patch_call", "mcp_approval_request") for item in items)
    finish = "length" if body["status"] == "incomplete" else "tool_calls" if is_calling else "stop"
    assert records[-1]["finish_reason"] == ("refusal" if refusals else finish)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_the_place_of_events(name: str) -> None:
    data = read(name)
    expected = Decoder(ISSUER).body(data)
    assert decode(data) == expected
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == expected


@pytest.mark.parametrize("name", QUEUED)
def test_a_queued_response_is_not_a_reply(name: str) -> None:
    records = Decoder(ISSUER).body(read(name))
    assert [record["type"] for record in records] == ["start", "error"]
    assert records[1]["exit_status"] == 75
    assert "queued" in records[1]["message"]


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_whole_in_the_end_is_what_the_chunks_made(name: str) -> None:
    """The output that the last event repeats, taken for a body, gives the same parts; ciphertexts
    and ids are other ones there."""
    for data in responses_in(name):
        last = events_of(data)[-1]
        if last["type"] not in ("response.completed", "response.incomplete") or not last["response"]["output"]:
            continue
        streamed, told = whole(decode(data)), whole(Decoder(ISSUER).body(json.dumps(last["response"]).encode()))
        assert [_visible(part) for part in streamed["parts"]] == [_visible(part) for part in told["parts"]]


def _visible(part: Object) -> Object:
    kept = {name: value for name, value in part.items() if name != "provider_metadata"}
    for annotation in kept.get("annotations", ()):
        annotation.pop("provider_metadata", None)
    return kept


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


@pytest.mark.parametrize("name", STREAMS)
def test_indexes_or_ids_alone_make_no_difference(name: str) -> None:
    """Without output_index the ids tell the items (llama.cpp), where they stay as they are."""
    for data in responses_in(name):
        events = events_of(data)
        expected = _without_of(decode(data))
        for left_out in ("item_id", "output_index"):
            if left_out == "output_index" and ("id-rotation" in name or "shell-container" in name):
                continue
            said = [{field: value for field, value in event.items() if field != left_out} for event in events]
            again = decode(b"".join([b"data: " + json.dumps(event).encode() + b"\n\n" for event in said]))
            assert _without_of(again) == expected, left_out


def _without_of(records: list[Object]) -> list[Object]:
    return [record for record in records if record["type"] != "end"]


ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


def terminal(data: bytes) -> int:
    """How many bytes make the terminal event: those up to the end of its JSON."""
    at = 0
    for line in data.split(b"\n"):
        payload = line[5:].strip() if line.startswith(b"data:") else b""
        if payload and payload != b"[DONE]" and json.loads(payload).get("type") in ENDS:
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
            assert position >= least, position
            return
        records = ended(machine)
        kinds = [record["type"] for record in records]
        assert kinds[-1] in (("error",) if position < least else ("end", "error")), position
        assert position >= least or "end" not in kinds, position


@pytest.mark.parametrize("name", STREAMS)
def test_a_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, sampled(name, read(name), terminal(read(name))))


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_every_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, list(range(len(read(name)) + 1)))


@pytest.mark.parametrize("name", names("malformed/*openai-parallel*"))
def test_invalid_json_is_the_providers_fault(name: str) -> None:
    data = read(name)
    records = decode(data)
    assert [record["exit_status"] for record in records if record["type"] == "error"] == [76]
    assert records[-1]["type"] == "error"
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == records


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_message_and_status(name: str) -> None:
    data = read(name)
    status = status_of(name)
    failure = error_of(status, HEADERS.get(name, {}).get("headers", {}), data)
    body = json.loads(data)
    told = body.get("error", body.get("detail"))
    assert failure.message == (told["message"] if isinstance(told, dict) else told)
    assert failure.details["http_status"] == status
    assert failure.exit_status == (77 if status == 401 or "API key" in failure.message else 65)
    assert failure.details["retryable"] is False


# What real clients sent next.


def _rest(block: Object, *known: str) -> Object:
    return {name: value for name, value in block.items() if name not in known}


def input_of(request: Object) -> list[Object]:
    said = request["input"]
    return [{"role": "user", "content": said}] if isinstance(said, str) else list(said)


def is_output(item: Object) -> bool:
    """Whether an item of a request is what a model said, and a whole item of the vendor's."""
    kind = item.get("type", "message")
    if kind == "message":
        return item["role"] == "assistant" and "id" in item
    return not kind.endswith("_call_output") and kind not in ("mcp_approval_response", "additional_tools")


def replies_in(name: str) -> list[list[Object]]:
    """The items that a model said in a row, as a request has them."""
    replies: list[list[Object]] = [[]]
    for item in input_of(json.loads(read(name))):
        if not is_output(item):
            replies.append([])
        else:
            replies[-1].append(item)
    return [items for items in replies if items]


@pytest.mark.parametrize("name", [name for name in REQUESTS if replies_in(name)])
def test_a_recorded_reply_survives_our_format(name: str) -> None:
    """What a model said in any request, taken for a reply, is sent back as it was."""
    for items in replies_in(name):
        body = {"id": "r", "object": "response", "status": "completed", "output": items}
        assert sent_back(Decoder(ISSUER).body(json.dumps(body).encode())) == less_output_only(items)


_DEEPSEEK = "responses/pydantic-ai__test_deepseek_responses_function_tool_stream"
_REUSED = "responses/pydantic-ai__test_reused_tool_call_ids_stream"
_SEARCH = "responses/pypi-langchain_openai-1.7.4__test_tool_search_streaming"
_PATCH = "responses/unary/pypi-langchain_openai-1.7.4__test_apply_patch"
_CUSTOM = "responses/unary/pypi-langchain_openai-1.7.4__test_custom_tool"
_REPLAYED = {
    # A later request whose last reply is one that was recorded.
    f"{_DEEPSEEK}--1.request.json": f"{_DEEPSEEK}.sse",
    f"{_REUSED}--2.request.json": f"{_REUSED}--1.sse",
    f"{_SEARCH}--1.request.json": f"{_SEARCH}.sse",
    f"{_PATCH}--2.request.json": f"{_PATCH}.json",
    f"{_CUSTOM}--1.request.json": f"{_CUSTOM}.json",
}


_UNSAID = {"status", "id"}
"""What some of those clients leave out, and others say."""


@pytest.mark.parametrize("name", _REPLAYED)
def test_the_next_request_sends_the_same_reply(name: str) -> None:
    theirs, reply = less_output_only(replies_in(name)[-1]), _REPLAYED[name]
    data = read(reply)
    ours = sent_back(Decoder(ISSUER).body(data) if reply.endswith(".json") else decode(data))
    if _REUSED in name:  # that client makes the ids of calls unique in its own way
        for item in theirs:
            item.update({"call_id": item["call_id"].rpartition(":")[2]} if "call_id" in item else {})
    assert [_rest(item, *(_UNSAID - said.keys())) for item, said in zip(ours, theirs, strict=True)] == theirs


# Whole requests, taken apart here into our records and made again.


def _own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}} if fields else {}


def _part(block: Object) -> Object:
    kind = block["type"]
    if kind == "input_text":
        return {"type": "text", "text": block["text"], **_own(**_rest(block, "type", "text"))}
    if kind == "input_image" and block["image_url"].startswith("data:"):
        mime, content = block["image_url"].removeprefix("data:").split(";base64,")
        return {"type": "attachment", "attachment": {"type": mime, "content": content}}
    if kind == "input_file" and "file_url" in block:
        return {"type": "attachment", "attachment": {"type": "application/pdf", "url": block["file_url"]}}
    if kind == "input_file":
        mime, content = block["file_data"].removeprefix("data:").split(";base64,")
        attachment = {"type": mime, "content": content, "name": block["filename"]}
        return {"type": "attachment", "attachment": attachment, **_own(type="input_file")}
    return {"type": kind, **_own(**block)}


def _result(item: Object) -> Object:
    kinds = {"function_call_output", "custom_tool_call_output"}
    assert isinstance(item["output"], str)
    rest = _rest(item, "call_id", "output", *(["type"] if item["type"] in kinds else []))
    return {
        "type": "tool_result",
        "name": "f",
        "output": item["output"],
        "tool_call_id": item["call_id"],
        **_own(**rest),
    }


def _said(item: Object) -> Object:
    """A message of an item that no model said whole."""
    kind = item.get("type", "message")
    if kind == "message":
        content = item["content"]
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        blocks = [{"type": kind, "text": content}] if isinstance(content, str) else content
        if item["role"] == "assistant":
            assert [block["type"] for block in blocks] == ["output_text"]
            parts = [{"type": "text", "text": blocks[0]["text"]}]
        else:
            parts = [_part(block) for block in blocks]
        return {"type": "message", "role": item["role"], "parts": parts}
    if kind.endswith("_output"):
        return {"type": "message", "role": "tool", "parts": [_result(item)]}
    return {"type": "message", "role": "user", "parts": [{"type": kind, **_own(**item)}]}


def _messages(items: list[Object]) -> list[Object]:
    found: list[Object] = []
    reply: list[Object] = []
    for item in [*items, {"role": "user", "content": []}]:
        if is_output(item):
            reply.append(item)
            continue
        if reply:
            body = {"id": "r", "object": "response", "status": "completed", "output": reply}
            found.append(whole(Decoder(ISSUER).body(json.dumps(body).encode())))
            reply = []
        found.append(_said(item))
    return found[:-1]


def _tool(tool: Object) -> Object:
    if tool["type"] != "function":
        return {"type": "tool", "name": tool.get("name", tool["type"]), **_own(**tool)}
    names = ("type", "name", "description", "parameters")
    said = {name: tool[name] for name in names[1:3] if tool.get(name)}
    own = _own(**{"strict": None, **_rest(tool, *names)})
    return {"type": "tool", **said, "input_schema": tool["parameters"], **own}


def normal(request: Object) -> Object:
    """A request without what is the default, and with its input in one of the ways to write it."""
    found = {name: value for name, value in without_empty(request).items() if (name, value) != ("stream", False)}
    found["input"] = less_output_only([_normal(item) for item in input_of(request)])
    found["tools"] = [without_empty(tool) for tool in request.get("tools") or ()]
    return found


def _normal(item: Object) -> Object:
    said = {"type": "message", **item}
    if said["type"] == "message":
        content = said["content"]
        blocks = [{"text": content}] if isinstance(content, str) else content
        said["content"] = [{"type": "", **_rest(block, "type", "detail")} for block in blocks]
    return said


@pytest.mark.parametrize("name", REQUESTS)
def test_a_recorded_request_is_made_again(name: str) -> None:
    theirs = json.loads(read(name))
    options = {"store": None, "include": None, **_rest(theirs, "model", "input", "tools", "stream", "tool_choice")}
    choice = theirs.get("tool_choice")
    said = choice["name"] if isinstance(choice, dict) else choice
    quirks = frozenset({"no_include"})  # so that only that is asked for which they ask for
    is_stream = theirs.get("stream") is True
    asked = request_to(
        "openai-responses", theirs["model"], ISSUER, quirks, options=options, tool_choice=said, stream=is_stream
    )
    records = [*map(_tool, theirs.get("tools") or ()), *_messages(input_of(theirs))]
    for record in records:
        check_record(record)
    http, notices = encode(Conversation(records), asked)
    assert [notice for notice in notices if "no ciphertext" not in notice["message"]] == []
    ours = json.loads(http.body)
    assert normal(ours) == normal(theirs)
