"""The Gemini Interactions decoder and encoder against recorded traffic.

No request of theirs is recorded, and no line of EXPECTED.jsonl: `final_steps` reads the streams, and
a body says itself what is in it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtools.protocols.gemini_interactions.request import encode
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from support import referees
from support.decoding import machines
from support.paths import RECORDINGS
from support.recorded.interactions import BODIES, STREAMS, decode, events_of, final_steps, less_output_only
from support.recordings import ISSUER, Object, cut_apart, ended, read, sampled, whole

Decoder = machines("gemini-interactions")

pytestmark = pytest.mark.skipif(not STREAMS, reason=f"no recordings in {RECORDINGS}")

GO_ON = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "go on"}]}


def steps_of(name: str) -> list[Object]:
    data = read(name)
    steps: list[Object] = final_steps(data) if name in STREAMS else json.loads(data)["steps"]
    return less_output_only(steps)


def interaction_of(name: str) -> Object:
    data = read(name)
    found: Object = events_of(data)[-1]["interaction"] if name in STREAMS else json.loads(data)
    return found


def records_of(name: str) -> list[Object]:
    data = read(name)
    return decode(data) if name in STREAMS else Decoder(ISSUER).body(data)


def sent_back(*messages: Object) -> Object:
    """The request that follows messages, which the vendor's own types allow."""
    request, notices = encode(Conversation([*messages]), Request("m", "m", ISSUER))
    assert notices == []
    body: Object = json.loads(request.body)
    return body


def results(message: Object) -> list[Object]:
    calls = [part for part in message["parts"] if part["type"] == "tool_call" and "server_executed" not in part]
    parts = [
        {"type": "tool_result", "name": call["name"], "output": "27 °C", "tool_call_id": call["tool_call_id"]}
        for call in calls
    ]
    return [{"type": "message", "role": "tool", "parts": parts}] if parts else []


@pytest.mark.parametrize("name", [*STREAMS, *BODIES])
def test_second_law(name: str) -> None:
    message = whole(records_of(name))
    steps = sent_back(message, *results(message), GO_ON)["input"]
    theirs = steps_of(name)
    assert steps[: len(theirs)] == theirs
    answers = [(step["type"], step["call_id"]) for step in steps[len(theirs) : -1]]
    assert answers == [("function_result", step["id"]) for step in theirs if step["type"] == "function_call"]


@pytest.mark.parametrize("name", [*STREAMS, *BODIES])
def test_a_referee_allows_what_is_sent_back(name: str) -> None:
    referees.require()
    message = whole(records_of(name))
    answer = results(message)
    called = [len(answer[0]["parts"])] if answer else []
    assert referees.judge("gemini-interactions", sent_back(message, *answer, GO_ON)) == called


@pytest.mark.parametrize("name", [*STREAMS, *BODIES])
def test_a_reply_says_what_is_in_its_steps(name: str) -> None:
    records, steps, interaction = records_of(name), steps_of(name), interaction_of(name)
    parts, end = whole(records)["parts"], records[-1]
    contents = [content for step in steps for content in step.get("content", ())]
    assert [part["text"] for part in parts if part["type"] == "text"] == [content["text"] for content in contents]
    assert sum(len(part.get("annotations", ())) for part in parts) == sum(
        len(content.get("annotations", ())) for content in contents
    )
    for part, content in zip([part for part in parts if part["type"] == "text"], contents, strict=True):
        for ours, theirs in zip(part.get("annotations", ()), content.get("annotations", ()), strict=True):
            data = content["text"].encode()[theirs["start_index"] : theirs["end_index"]]
            assert part["text"][ours["start"] : ours["end"]] == data.decode(), "their places are bytes"
            assert (ours["url"], ours["title"]) == (theirs["url"], theirs["title"])
    calls = [step for step in steps if step["type"].endswith("_call")]
    assert [(part["arguments"], part["tool_call_id"]) for part in parts if part["type"] == "tool_call"] == [
        (step["arguments"], step["id"]) for step in calls
    ]
    thoughts = [step for step in steps if step["type"] == "thought"]
    assert [part.get("redacted") for part in parts if part["type"] == "reasoning"] == [True] * len(thoughts)
    usage = interaction["usage"]
    assert end["usage"]["input"] + end["usage"]["output"] == usage["total_tokens"]
    assert end["usage"].get("details", {}).get("reasoning", 0) == usage["total_thought_tokens"]
    assert end["details"][ISSUER]["usage"] == usage
    assert end["finish_reason"] == {"completed": "stop", "requires_action": "tool_calls"}[interaction["status"]]
    assert end["finish_reason_raw"] == interaction["status"]
    assert end["model_served"] == interaction["model"]


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_the_place_of_events(name: str) -> None:
    data = read(name)
    expected = Decoder(ISSUER).body(data)
    assert decode(data) == expected
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_the_steps_in_the_last_event_change_nothing(name: str) -> None:
    """The interaction may have the steps again, and the input before them."""
    events = events_of(read(name))
    asked = {"type": "user_input", "content": [{"type": "text", "text": "?"}]}
    events[-1]["interaction"]["steps"] = [asked, *final_steps(read(name))]
    assert decode(_stream(events)) == decode(read(name))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_its_body(name: str) -> None:
    """The same steps, taken for a body, give the same message."""
    body = {**interaction_of(name), "steps": final_steps(read(name))}
    assert whole(Decoder(ISSUER).body(json.dumps(body).encode())) == whole(decode(read(name)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STREAMS)
def test_cuts_make_no_difference(name: str) -> None:
    data = read(name)
    expected = decode(data)
    for pieces in cut_apart(name, data):
        assert decode(*pieces) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_names_of_events_and_the_ends_of_lines_make_no_difference(name: str) -> None:
    data = read(name)
    named = [f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n" for event in events_of(data)]
    for stream in (data.replace(b"\n", b"\r\n"), "".join(named).encode() + b"event: done\ndata: [DONE]\n\n"):
        assert decode(stream) == decode(data)


def _stream(events: list[Any]) -> bytes:
    return b"".join([b"data: " + json.dumps(event).encode() + b"\n\n" for event in events])


def terminal(data: bytes) -> int:
    """How many bytes make the terminal event: those up to the end of its JSON."""
    at = 0
    for line in data.split(b"\n"):
        if line.startswith(b"data:") and json.loads(line[5:])["event_type"] == "interaction.completed":
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
        assert kinds[-1] == ("error" if position < least else "end"), position
        assert position >= least or ("end" not in kinds and records[-1]["exit_status"] == 75), position


@pytest.mark.parametrize("name", STREAMS)
def test_a_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, sampled(name, read(name), terminal(read(name))))


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_every_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, list(range(len(read(name)) + 1)))


def test_two_turns_that_are_stateless() -> None:
    """The second request has the first reply as it came, behind the question and before the next one."""
    first, second = [name for name in STREAMS if "stateless" in name]
    asked = {**GO_ON, "parts": [{"type": "text", "text": "What are the three largest cities in Spain?"}]}
    body = sent_back(asked, whole(records_of(first)), GO_ON)
    question, *reply, following = body["input"]
    assert question == {"type": "user_input", "content": [asked["parts"][0]]}
    assert reply == steps_of(first)
    assert following == {"type": "user_input", "content": [GO_ON["parts"][0]]}
    assert body["store"] is False and "previous_interaction_id" not in body
    longer = sent_back(asked, whole(records_of(first)), GO_ON, whole(records_of(second)), GO_ON)["input"]
    assert longer == [*body["input"], *steps_of(second), following]
