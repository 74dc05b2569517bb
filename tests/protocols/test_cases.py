"""What servers really send: one row for each input, in the wire format of its protocol, fed whole and byte by byte.

A part is decoded right, kept as an unknown part, or told as a failure with what came. Arguments
that are not what the vendor promises never become {}.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtools.protocols import PROTOCOLS
from llmtools.protocols.openai_chat.request import encode
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from support import decoding
from support.decoding import end, machines

Object = dict[str, Any]
ISSUER = "acme"
MAKERS = {name: machines(name) for name in PROTOCOLS}


def decode(protocol: str, data: bytes) -> list[Object]:
    return decoding.decoded(lambda: MAKERS[protocol](ISSUER), data, ISSUER)


def sse(*events: Any, done: bool = True) -> bytes:
    payloads = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {payload}\n\n" for payload in [*payloads, *(["[DONE]"] if done else [])]).encode()


def chat(*deltas: Any, finish: str | None = "stop", **fields: Any) -> bytes:
    """The stream of Chat deltas; `fields` are those of the last chunk."""
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return sse(*chunks, {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **fields})


def anthropic(*events: Object, finish: str = "tool_use") -> bytes:
    """The stream of Anthropic events between the start and the end of a message."""
    begin: Object = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": []}
    last: list[Object] = [{"type": "message_delta", "delta": {"stop_reason": finish}}, {"type": "message_stop"}]
    whole: list[Object] = [{"type": "message_start", "message": begin}, *events, *last]
    return "".join([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in whole]).encode()


def gemini(*parts: Any, finish: str = "STOP") -> bytes:
    content = {"role": "model", "parts": list(parts)}
    return sse({"candidates": [{"content": content, "finishReason": finish}]}, done=False)


def interactions(*events: Object, steps: Any = None, status: str = "completed", **fields: Any) -> bytes:
    """The stream of the events of Interactions between its beginning and its end."""
    begin = {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}}
    interaction = {"id": "i", "object": "interaction", "status": status, **fields}
    interaction |= {} if steps is None else {"steps": steps}
    return sse(begin, *events, {"event_type": "interaction.completed", "interaction": interaction}, done=False)


def step(fields: Object, *deltas: Any) -> list[Object]:
    grown = [{"event_type": "step.delta", "index": 0, "delta": delta} for delta in deltas]
    return [{"event_type": "step.start", "index": 0, "step": fields}, *grown, {"event_type": "step.stop", "index": 0}]


def ollama(message: Object, reason: str = "stop") -> bytes:
    lines: list[Object] = [{"model": "m", "message": {"role": "assistant", "content": "", **message}, "done": False}]
    lines.append({"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason})
    return "".join([json.dumps(line) + "\n" for line in lines]).encode()


def responses(*events: Object, output: Any = (), status: str = "completed", **fields: Any) -> bytes:
    response = {"id": "r", "object": "response", "status": status, "output": list(output), **fields}
    begin = {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}
    return sse(begin, *events, {"type": f"response.{status}", "response": response}, done=False)


def parts_of(protocol: str, data: bytes) -> list[Object]:
    found: list[Object] = decoding.whole(decode(protocol, data), ISSUER)["parts"]
    return found


def calls_of(protocol: str, data: bytes) -> list[tuple[str, Any]]:
    """The name of each call with its arguments, or with `refused` if it must not run."""
    found = [part for part in parts_of(protocol, data) if part["type"] == "tool_call"]
    return [(part["name"], "refused" if "exception" in part else part["arguments"]) for part in found]


def piece(arguments: Any = None, name: str | None = None, **fields: Any) -> Object:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**fields, "function": function}


def called(*pieces: Object) -> bytes:
    """A Chat stream with one piece of a call in each delta."""
    return chat(*[{"tool_calls": [item]} for item in pieces], finish="tool_calls")


OSLO = '{"city":"Oslo"}'
WEATHER = [("weather", {"city": "Oslo"})]
BOTH = [("weather", {"city": "Oslo"}), ("time", {"zone": "CET"})]
REFUSED = [("weather", "refused")]

ARGUMENTS: list[tuple[list[Any], Any]] = [
    ([["Oslo"]], "refused"),
    ([[]], "refused"),
    ([5], "refused"),
    ([0], "refused"),
    ([True], "refused"),
    ([False], "refused"),
    (["5"], "refused"),
    (["[]"], "refused"),
    (['"Oslo"'], "refused"),
    (['{"city":'], "refused"),
    (["city=Oslo"], "refused"),
    ([{"city": "Oslo"}], {"city": "Oslo"}),
    ([{}, OSLO], {"city": "Oslo"}),
    ([{}, {"city": "Oslo"}], {"city": "Oslo"}),
    ([json.dumps(OSLO)], {"city": "Oslo"}),
    ([json.dumps(json.dumps(OSLO))], {"city": "Oslo"}),
    (list(json.dumps(OSLO)), {"city": "Oslo"}),
    (["{}", OSLO], {"city": "Oslo"}),
    (["{}", '{"ci', 'ty":"Oslo"}'], {"city": "Oslo"}),
    (["null", OSLO], {"city": "Oslo"}),
    (['""', OSLO], {"city": "Oslo"}),
    ([OSLO, "{}"], {"city": "Oslo"}),
    (["{}", "{}"], {}),
    ([OSLO, OSLO], {"city": "Oslo"}),
    (['{"ci', 'ty":"Oslo"}', OSLO], {"city": "Oslo"}),
    (['{"city":', '{"city":"Oslo"}'], {"city": "Oslo"}),
    (['{"city"', '{"city":"Os', OSLO], {"city": "Oslo"}),
    (['{"city":"Oslo"}', '{"city":"Oslo","n":1}'], {"city": "Oslo", "n": 1}),
    (['{"n":1.50}', '{ "n" : 1.50 }'], {"n": 1.5}),
    ([OSLO, '{"city":"Rome"}'], "refused"),
    ([OSLO, "oops"], "refused"),
    (['{"city":"Os', ["lo"], '"}'], "refused"),
    (['{"city":"Os', 5, 'lo"}'], "refused"),
    (['{"n":1', 5, "}"], "refused"),
    (["{}", '{"city'], "refused"),
]


@pytest.mark.parametrize(("chunks", "expected"), ARGUMENTS)
def test_arguments_of_a_chat_call(chunks: list[Any], expected: Any) -> None:
    first, *others = chunks
    data = called(piece(first, "weather", index=0, id="a"), *[piece(chunk, index=0) for chunk in others])
    [(name, arguments)] = calls_of("openai-chat", data)
    assert (name, arguments) == ("weather", expected)
    [part] = parts_of("openai-chat", data)
    assert part["tool_call_id"] == "a"


@pytest.mark.parametrize("finish", ["length", "MAX_TOKENS", "content_filter"])
def test_a_call_that_was_cut_off_is_not_mended(finish: str) -> None:
    deltas = [piece('{"a":', "f", index=0, id="a"), piece('{"a":1}', index=0)]
    assert calls_of("openai-chat", chat(*[{"tool_calls": [item]} for item in deltas], finish=finish)) == [
        ("f", "refused")
    ]


def test_mended_arguments_keep_what_came_with_the_call() -> None:
    extra = {"google": {"thought_signature": "s"}}
    [part] = parts_of(
        "openai-chat", called(piece("{}", "f", id="a", extra_content=extra), piece('{ "n":1e400}', id="a"))
    )
    assert part["provider_metadata"] == {ISSUER: {"extra_content": extra}}
    assert (part["tool_call_id"], part["arguments_raw"]) == ("a", '{ "n":1e400}')


PIECES: dict[str, tuple[list[Object], list[tuple[str, Any]]]] = {
    "another id with each piece": (
        [
            piece("", "weather", index=0, id="x1"),
            piece('{"city":', index=0, id="x2"),
            piece('"Oslo"}', index=0, id="x3"),
        ],
        WEATHER,
    ),
    "another id and the name with each piece": (
        [piece('{"city":', "weather", index=0, id="x1"), piece('"Oslo"}', "weather", index=0, id="x2")],
        WEATHER,
    ),
    "another id, without an index": ([piece('{"city":', "weather", id="x1"), piece('"Oslo"}', id="x2")], WEATHER),
    "an id later": ([piece('{"city":', "weather", index=0), piece('"Oslo"}', index=0, id="x2")], WEATHER),
    "an id that is a number": ([piece('{"city":', "weather", id=7), piece('"Oslo"}', id=7)], WEATHER),
    "an index at first alone": ([piece('{"city":', "weather", index=0, id="a"), piece('"Oslo"}')], WEATHER),
    "an index later": ([piece('{"city":', "weather", id="a"), piece('"Oslo"}', index=0, id="a")], WEATHER),
    "an index that is a string": ([piece('{"city":', "weather", index="0"), piece('"Oslo"}', index="0")], WEATHER),
    "an index that grows with each piece": (
        [piece('{"city":', "weather", index=0), piece('"Oslo"}', index=1)],
        WEATHER,
    ),
    "neither index nor id": ([piece('{"city":', "weather"), piece('"Oslo"}')], WEATHER),
    "neither, the name with each piece": ([piece('{"city":', "weather"), piece('"Oslo"}', "weather")], WEATHER),
    "an index that has another type at first": (
        [piece("", "weather", index=[1], id="a"), piece(OSLO, index=0)],
        WEATHER,
    ),
    "an empty piece": ([piece(OSLO, "weather", index=0, id="a"), {"index": 1}, {}], WEATHER),
    "without a function": ([{"index": 0, "id": "a", "name": "weather", "arguments": OSLO}], WEATHER),
    "two without index and id": ([piece(OSLO, "weather"), piece('{"zone":"CET"}', "time")], BOTH),
    "two of one name without index and id": ([piece("{}", "f"), piece("{}", "f")], [("f", {}), ("f", {})]),
    "two ids without an index, interleaved": (
        [
            piece("", "weather", id="a1"),
            piece("", "time", id="a2"),
            piece(OSLO, id="a1"),
            piece('{"zone":"CET"}', id="a2"),
        ],
        BOTH,
    ),
    "two ids at one index, interleaved": (
        [
            piece('{"city":', "weather", index=0, id="a1"),
            piece('{"zone":', "time", index=0, id="a2"),
            piece('"Oslo"}', index=0, id="a1"),
            piece('"CET"}', index=0, id="a2"),
        ],
        BOTH,
    ),
    "two calls of one tool at one index": (
        [piece('{"n":1}', "f", index=0, id="a1"), piece('{"n":2}', "f", index=0, id="a2")],
        [("f", {"n": 1}), ("f", {"n": 2})],
    ),
    "two names at one index without ids": (
        [piece(OSLO, "weather", index=0), piece('{"zone":"CET"}', "time", index=0)],
        BOTH,
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_calls(name: str) -> None:
    pieces, expected = PIECES[name]
    records = decode("openai-chat", called(*pieces))
    assert calls_of("openai-chat", called(*pieces)) == expected
    assert end(records)["finish_reason"] == "tool_calls"


def test_pieces_of_two_calls_in_one_delta_without_index_and_id() -> None:
    first = {"tool_calls": [piece('{"city":', "weather"), piece('{"zone":', "time")]}
    second = {"tool_calls": [piece('"Oslo"}'), piece('"CET"}')]}
    assert calls_of("openai-chat", chat(first, second)) == BOTH
    assert calls_of("openai-chat", chat({"tool_calls": piece(OSLO, "weather")})) == WEATHER


OTHER_ARGUMENTS: list[tuple[Any, Any]] = [
    (OSLO, {"city": "Oslo"}),
    (json.dumps(OSLO), {"city": "Oslo"}),
    (OSLO + OSLO, {"city": "Oslo"}),
    ({}, {}),
    (["Oslo"], "refused"),
    ([], "refused"),
    (5, "refused"),
    (False, "refused"),
    ("Oslo", "refused"),
    ('{"city":', "refused"),
    ("[]", "refused"),
]


@pytest.mark.parametrize(("arguments", "expected"), OTHER_ARGUMENTS)
def test_arguments_in_the_other_protocols(arguments: Any, expected: Any) -> None:
    call = {"name": "f", "arguments": arguments}
    item = {"type": "function_call", "id": "i", "call_id": "a", **call}
    block = {"type": "tool_use", "id": "a", "name": "f", "input": arguments}
    start, stop = (
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
    )
    assert calls_of("gemini", gemini({"functionCall": {"name": "f", "args": arguments}})) == [("f", expected)]
    begun_call = {"type": "function_call", "id": "a", **call}
    assert calls_of("gemini-interactions", interactions(*step(begun_call))) == [("f", expected)]
    assert calls_of("gemini-interactions", interactions(steps=[begun_call])) == [("f", expected)]
    assert calls_of("ollama", ollama({"tool_calls": [{"function": call}]})) == [("f", expected)]
    assert calls_of("anthropic", anthropic(start, stop)) == [("f", expected)]
    assert calls_of("openai-responses", responses(output=[item])) == [("f", expected)]
    added = {"type": "response.output_item.done", "output_index": 0, "item": item}
    assert calls_of("openai-responses", responses(added, output=[item])) == [("f", expected)]


FAIL, FILTER, LENGTH = "error", "content_filter", "length"
FINISHES: list[tuple[str, str, str]] = [
    *[(word, FAIL, "unavailable") for word in ("network_error", "abort", "error", "ABORT", "server_error")],
    *[(word, FAIL, "timeout") for word in ("timeout", "TIMEOUT", "timed_out")],
    ("insufficient_system_resource", FAIL, "overloaded"),
    *[(word, FILTER, "") for word in ("sensitive", "content_filtered", "content_filter", "SAFETY", "content-filter")],
    *[
        (word, LENGTH, "")
        for word in ("model_context_window_exceeded", "MAX_TOKENS", "max_output_tokens", "max_tokens")
    ],
    *[(word, "stop", "") for word in ("stop", "STOP", "eos", "end_turn")],
]


@pytest.mark.parametrize(("word", "reason", "code"), FINISHES)
def test_finish_reasons_of_every_dialect(word: str, reason: str, code: str) -> None:
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}}
    streams = {
        "openai-chat": chat({"content": "a"}, finish=word),
        "anthropic": anthropic(text, finish=word),
        "ollama": ollama({"content": "a"}, word),
        "gemini": gemini({"text": "a"}, finish=word),
    }
    for protocol, data in streams.items():
        records = decode(protocol, data)
        assert decoding.whole(records, ISSUER)["parts"] == [{"type": "text", "text": "a"}]
        assert end(records)["finish_reason"] == reason
        assert end(records).get("finish_reason_raw", word) == word
        assert [record["code"] for record in records if record["type"] == "error"] == ([code] if code else [])
        assert not [record for record in records if record.get("code") == "unknown_finish"]


@pytest.mark.parametrize("word", ["never_seen", "Grund", "other", "x" * 500])
def test_a_finish_reason_that_is_not_known(word: str) -> None:
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}}
    for protocol, data in (
        ("openai-chat", chat({"content": "a"}, finish=word)),
        ("anthropic", anthropic(text, finish=word)),
        ("ollama", ollama({"content": "a"}, word)),
        ("gemini", gemini({"text": "a"}, finish=word)),
    ):
        records = decode(protocol, data)
        assert (end(records)["finish_reason"], end(records)["finish_reason_raw"]) == ("stop", word)
        [notice] = [record for record in records if record["type"] == "notice" and record["code"] == "unknown_finish"]
        assert word[:100] in notice["message"]


def begun(kind: str, **fields: Any) -> Object:
    return {"type": "content_block_start", "index": 0, "content_block": {"type": kind, **fields}}


def changed(kind: str, **fields: Any) -> Object:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


STOPPED: Object = {"type": "content_block_stop", "index": 0}
TOOL = begun("tool_use", id="t1", name="weather", input={})
ASKED = changed("input_json_delta", partial_json=OSLO)
CALL = {"type": "tool_call", "name": "weather", "arguments": {"city": "Oslo"}, "tool_call_id": "t1"}
SAID = {"type": "text", "text": "I ask."}
THOUGHT = {"type": "reasoning", "text": "Hm."}

DELTAS: dict[str, tuple[list[Object], list[Object]]] = {
    "a text in a call": ([TOOL, ASKED, changed("text_delta", text="I ask."), STOPPED], [CALL, SAID]),
    "a text between the arguments of a call": (
        [
            TOOL,
            changed("input_json_delta", partial_json='{"city":'),
            *[changed("text_delta", text=text) for text in ("I ", "ask.")],
            changed("input_json_delta", partial_json='"Oslo"}'),
        ],
        [CALL, SAID],
    ),
    "thoughts in a call": ([TOOL, ASKED, changed("thinking_delta", thinking="Hm."), STOPPED], [CALL, THOUGHT]),
    "thoughts in a text": ([begun("text", text="I ask."), changed("thinking_delta", thinking="Hm.")], [SAID, THOUGHT]),
    "a text in thoughts": ([begun("thinking", thinking="Hm."), changed("text_delta", text="I ask.")], [THOUGHT, SAID]),
    "nothing in a call": ([TOOL, ASKED, changed("text_delta", text=""), STOPPED], [CALL]),
    "a text without a block": ([changed("text_delta", text="I "), changed("text_delta", text="ask.")], [SAID]),
    "a text behind its block": (
        [begun("text", text="I ask."), STOPPED, changed("text_delta", text="I ask."), STOPPED],
        [SAID, SAID],
    ),
    "a text that is a number": (
        [begun("text", text=""), changed("text_delta", text=4)],
        [{"type": "text", "text": "4"}],
    ),
    "an index that is a string": ([TOOL, {**ASKED, "index": "0"}, {**STOPPED, "index": "0"}], [CALL]),
    "a delta without an index": ([TOOL, {**ASKED, "index": None}, STOPPED], [CALL]),
    "the arguments as a string": ([begun("tool_use", id="t1", name="weather", input=OSLO), STOPPED], [CALL]),
    "the arguments as a string of a string": (
        [begun("tool_use", id="t1", name="weather", input=json.dumps(OSLO)), STOPPED],
        [CALL],
    ),
    "an empty string, then deltas": ([begun("tool_use", id="t1", name="weather", input=""), ASKED, STOPPED], [CALL]),
    "a delta that is an object": ([TOOL, changed("input_json_delta", partial_json={"city": "Oslo"}), STOPPED], [CALL]),
    "a delta with the input": ([TOOL, changed("input_json_delta", input={"city": "Oslo"}), STOPPED], [CALL]),
    "another name of the delta": ([TOOL, changed("input_delta", input=OSLO), STOPPED], [CALL]),
    "an empty object first": ([TOOL, changed("input_json_delta", partial_json="{}"), ASKED, STOPPED], [CALL]),
    "the arguments twice": ([TOOL, ASKED, ASKED, STOPPED], [CALL]),
}


@pytest.mark.parametrize("name", DELTAS)
def test_deltas_of_anthropic_blocks(name: str) -> None:
    events, expected = DELTAS[name]
    assert parts_of("anthropic", anthropic(*events)) == expected


def test_deltas_without_a_type_are_read_by_the_name_of_the_event() -> None:
    data = anthropic(begun("text", text=""), changed("text_delta", text="I ask."))
    assert parts_of("anthropic", data.replace(b'"type": "content_block_delta"', b'"type": null')) == [SAID]


@pytest.mark.parametrize(
    "events",
    [
        [begun("text", text="a"), ASKED],
        [begun("thinking", thinking="a"), ASKED],
        [ASKED],
        [TOOL, STOPPED, ASKED],
        [begun("text", text="a"), changed("input_json_delta", partial_json={"city": "Oslo"})],
    ],
)
def test_arguments_that_belong_to_no_call(events: list[Object]) -> None:
    records = decode("anthropic", anthropic(*events))
    assert (records[-1]["type"], records[-1]["code"]) == ("error", "protocol")
    assert "Oslo" in records[-1]["message"]


@pytest.mark.parametrize("delta", ["a whole text", {"type": "never_seen", "data": "a whole text"}, ["a whole text"]])
def test_deltas_that_are_not_known(delta: Any) -> None:
    event = {"type": "content_block_delta", "index": 0, "delta": delta}
    records = decode("anthropic", anthropic(begun("text", text="a"), event))
    [notice] = [record for record in records if record["type"] == "notice"]
    assert "a whole text" in notice["message"]


@pytest.mark.parametrize("content", ["hi", ["hi"], [{"type": "text", "text": "hi"}]])
def test_a_whole_message_with_a_content_of_another_type(content: Any) -> None:
    body = {"id": "m", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}
    assert parts_of("anthropic", json.dumps(body).encode()) == [{"type": "text", "text": "hi"}]


BLOCKS: dict[str, tuple[list[Any], list[Object]]] = {
    "reasoning with a summary": (
        [[{"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}] for text in ("Let me ", "see.")],
        [{"type": "reasoning", "text": "Let me see."}],
    ),
    "reasoning with a text": ([[{"type": "reasoning", "text": "Hm."}]], [THOUGHT]),
    "reasoning with a content": ([[{"type": "reasoning", "content": [{"type": "text", "text": "Hm."}]}]], [THOUGHT]),
    "reasoning with strings": ([[{"type": "reasoning", "summary": ["H", "m."]}]], [THOUGHT]),
    "reasoning of its own field": ([[{"type": "reasoning", "reasoning": "Hm."}]], [THOUGHT]),
    "thinking with a text": ([[{"type": "thinking", "text": "Hm."}]], [THOUGHT]),
    "a refusal": ([[{"type": "refusal", "refusal": "No."}]], [{"type": "refusal", "text": "No."}]),
    "a text of Responses": ([[{"type": "output_text", "text": "I ask.", "annotations": []}]], [SAID]),
    "a text of Assistants": ([[{"type": "text", "text": {"value": "I ask.", "annotations": []}}]], [SAID]),
    "a text without a type": ([[{"text": "I ask."}]], [SAID]),
    "a block that is not in a list": ([{"type": "text", "text": "I "}, {"type": "text", "text": "ask."}], [SAID]),
    "strings in a list": ([["I ", "ask."]], [SAID]),
    "a number": ([4, [2]], [{"type": "text", "text": "42"}]),
    "an empty reasoning": ([[{"type": "reasoning"}]], [{"type": "reasoning_block"}]),
    "encrypted reasoning": ([[{"type": "reasoning", "data": "x"}]], [{"type": "reasoning_block"}]),
    "a call": ([[{"type": "tool_call", "name": "f"}]], [{"type": "tool_call_block"}]),
    "a result": ([[{"type": "tool_result", "output": "x"}]], [{"type": "tool_result_block"}]),
    "an attachment": ([[{"type": "attachment", "id": "x"}]], [{"type": "attachment_block"}]),
    "a refusal of another form": ([[{"type": "refusal", "why": "x"}]], [{"type": "refusal_block"}]),
    "a text of another form": ([[{"type": "text", "text": ["x"]}]], [{"type": "text_block"}]),
    "an image without its place": ([[{"type": "image_url", "file": "x"}]], [{"type": "image_url"}]),
    "a type that is not a string": ([[{"type": 5, "x": 1}]], [{"type": "unknown"}]),
    "a type of nobody": ([[{"type": "poem", "x": 1}]], [{"type": "poem"}]),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_chat_content(name: str) -> None:
    contents, expected = BLOCKS[name]
    streams = [chat(*[{"content": content} for content in contents])]
    if len(contents) == 1:
        message = {"role": "assistant", "content": contents[0]}
        streams.append(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    for data in streams:
        found = parts_of("openai-chat", data)
        for part in found:
            own = part.pop("provider_metadata", {}).get(ISSUER)
            assert part["type"] in ("text", "reasoning", "refusal") or own in contents[0]
        assert found == expected


def test_reasoning_among_blocks_goes_back_as_it_came() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.", "signature": "s"}], "id": "i"}
    first = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "H"}]}
    last = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "m.", "signature": "s"}], "id": "i"}
    text = {"type": "text", "text": "I ask."}
    for data in (
        chat({"content": [thought]}, {"content": [text]}),
        chat(*[{"content": [b]} for b in (first, last, text)]),
    ):
        message = decoding.whole(decode("openai-chat", data), ISSUER)
        http, notices = encode(Conversation([message]), Request("acme/m", "m", ISSUER))
        assert notices == []
        assert json.loads(http.body)["messages"][0]["content"] == [thought, text]


CHOICES: dict[str, Any] = {
    "one choice that is not in a list": {"choices": {"index": 0, "delta": {"content": "hi"}}},
    "an index that is null": {"choices": [{"index": None, "delta": {"content": "hi"}}]},
    "an index that is a string": {"choices": [{"index": "0", "delta": {"content": "hi"}}]},
    "an index of another type": {"choices": [{"index": [], "delta": {"content": "hi"}}]},
    "a delta that is a string": {"choices": [{"index": 0, "delta": "hi"}]},
    "a text in the place of a delta": {"choices": [{"index": 0, "text": "hi"}]},
    "a message in the place of a delta": {"choices": [{"index": 0, "delta": None, "message": {"content": "hi"}}]},
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_of_other_forms(name: str) -> None:
    data = sse(CHOICES[name], {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    assert parts_of("openai-chat", data) == [{"type": "text", "text": "hi"}]


OPENAI = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
PLAIN = {"input": 11, "output": 3}
USAGES: dict[str, tuple[Object, Object]] = {
    "names of Responses": ({"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}, PLAIN),
    "camel case": ({"promptTokens": 11, "completionTokens": 3, "totalTokens": 14}, PLAIN),
    "camel case of others": ({"inputTokens": 11, "outputTokens": 3}, PLAIN),
    "names of Gemini": ({"promptTokenCount": 11, "candidatesTokenCount": 3, "totalTokenCount": 14}, PLAIN),
    "names of Ollama": ({"prompt_eval_count": 11, "eval_count": 3}, PLAIN),
    "both names, one of them 0": (
        {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 11, "output_tokens": 3},
        PLAIN,
    ),
    "strings": ({"prompt_tokens": "11", "completion_tokens": " 3 ", "total_tokens": "14"}, PLAIN),
    "floats": ({"prompt_tokens": 11.0, "completion_tokens": 3.0, "total_tokens": 14.0}, PLAIN),
    "floats that are strings": ({"prompt_tokens": "11.0", "completion_tokens": "3.0"}, PLAIN),
    "no counts": ({"prompt_tokens": "many", "completion_tokens": [3]}, {"input": 0, "output": 0}),
    "booleans": ({"prompt_tokens": True, "completion_tokens": False}, {"input": 0, "output": 0}),
    "numbers that are not finite": ({"prompt_tokens": 1e300, "completion_tokens": -3.0}, {"input": 0, "output": 0}),
    "reasoning outside, as the total tells": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 3,
            "total_tokens": 21,
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
        {"input": 11, "output": 10, "details": {"reasoning": 7}},
    ),
    "reasoning inside, as the total tells": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 3,
            "total_tokens": 14,
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
        {"input": 11, "output": 3, "details": {"reasoning": 7}},
    ),
    "reasoning outside, by other names": (
        {
            "input_tokens": "11",
            "output_tokens": "3",
            "total_tokens": "21",
            "output_tokens_details": {"reasoning_tokens": "7"},
        },
        {"input": 11, "output": 10, "details": {"reasoning": 7}},
    ),
    "reasoning outside, in camel case": (
        {
            "promptTokens": 11,
            "completionTokens": 3,
            "totalTokens": 21,
            "completionTokensDetails": {"reasoningTokens": 7},
        },
        {"input": 11, "output": 10, "details": {"reasoning": 7}},
    ),
    "cached tokens inside": (
        {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14, "input_tokens_details": {"cached_tokens": 8}},
        {"input": 11, "output": 3, "details": {"cached": 8}},
    ),
    "cached tokens outside": (
        {"input_tokens": 3, "output_tokens": 3, "cache_read_input_tokens": 8},
        {"input": 11, "output": 3, "details": {"cached": 8}},
    ),
}


@pytest.mark.parametrize("name", USAGES)
def test_usage_of_chat(name: str) -> None:
    theirs, ours = USAGES[name]
    assert end(decode("openai-chat", chat({"content": "hi"}, usage=theirs)))["usage"] == ours


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": 0, "delta": {}, "usage": OPENAI}]},
        {"choices": [{"index": 0, "delta": {"usage": OPENAI}}]},
        {"choices": [{"index": 0, "delta": {}}], "usage_metadata": OPENAI},
        {"choices": [], "x_groq": {"usage": OPENAI}},
        {"choices": {"index": 0, "usage": OPENAI}},
        {"usage": OPENAI},
    ],
)
def test_places_of_usage_in_chat(chunk: Object) -> None:
    finish = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    text = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}
    for data in (
        sse(text, chunk, finish),
        sse(text, finish, chunk),
        sse(text, chunk, {**finish, "usage": {"cost": 1}}),
    ):
        assert end(decode("openai-chat", data))["usage"] == PLAIN


@pytest.mark.parametrize(
    ("protocol", "usage"),
    [
        ("openai-responses", {"input_tokens": "11", "output_tokens": 3.0, "total_tokens": "14"}),
        ("anthropic", {"input_tokens": "11", "output_tokens": 3.0}),
        ("gemini", {"promptTokenCount": "11", "candidatesTokenCount": 3.0}),
        ("gemini-interactions", {"total_input_tokens": "11", "total_output_tokens": 3.0}),
        ("ollama", {"prompt_eval_count": "11", "eval_count": 3.0}),
    ],
)
def test_counts_that_are_strings_or_floats(protocol: str, usage: Object) -> None:
    text = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}], "usageMetadata": usage}
    last = {"type": "message_delta", "delta": {}, "usage": usage}
    streams = {
        "openai-responses": responses(usage=usage),
        "anthropic": anthropic(begun("text", text="a"), last, finish="end_turn"),
        "gemini": sse(text, done=False),
        "gemini-interactions": interactions(usage=usage),
        "ollama": (json.dumps({"message": {"content": "a"}, "done": True, **usage}) + "\n").encode(),
    }
    assert end(decode(protocol, streams[protocol]))["usage"] == PLAIN


CONTEXT: Object = {
    "code": 400,
    "message": "the request exceeds the available context size",
    "type": "invalid_request_error",
}
ERRORS: list[tuple[bytes, str, str]] = [
    (b"error: " + json.dumps(CONTEXT).encode() + b"\n\n", "context_too_long", CONTEXT["message"]),
    (
        b"error:" + json.dumps({"error": CONTEXT}).encode() + b"\n\ndata: [DONE]\n\n",
        "context_too_long",
        CONTEXT["message"],
    ),
    (b"error: the upstream is gone\n\ndata: [DONE]\n\n", "unavailable", "the upstream is gone"),
    (b"data: error: the upstream is gone\n\n", "unavailable", "the upstream is gone"),
    (b"data: error: the upstream is gone", "unavailable", "the upstream is gone"),
    (b"data: [ERROR] the upstream is gone\n\n", "unavailable", "the upstream is gone"),
    (b"data: Error: " + json.dumps({"error": CONTEXT}).encode() + b"\n\n", "context_too_long", CONTEXT["message"]),
    (b"event: error\ndata: the upstream is gone\n\n", "unavailable", "the upstream is gone"),
    (b"event: error\ndata: the upstream is gone", "unavailable", "the upstream is gone"),
    (b'data: {"code": 500, "msg": "the upstream is gone"}\n\n', "unavailable", "the upstream is gone"),
    (b"data: upstream connect error\n\n", "protocol", "upstream connect error"),
    (b"data: upstream connect error", "protocol", "upstream connect error"),
    (b"data: <html><body>502 Bad Gateway</body></html>\n\n", "protocol", "502 Bad Gateway"),
    (b"data: \x1b[31mgone\x00\n\n", "protocol", "gone"),
    (b"upstream connect error\n\n", "truncated", "upstream connect error"),
    (b"<html><body>502 Bad Gateway</body></html>", "truncated", "502 Bad Gateway"),
    (b'data: {"cut": "of', "truncated", "the stream ended"),
]


@pytest.mark.parametrize(("data", "code", "message"), ERRORS)
def test_what_is_not_json_is_told(data: bytes, code: str, message: str) -> None:
    begin = {"type": "response.created", "response": {"id": "r", "status": "in_progress"}}
    texts = {
        "openai-chat": sse({"choices": [{"index": 0, "delta": {"content": "Grüße"}}]}, done=False),
        "anthropic": anthropic(begun("text", text="Grüße")).partition(b"event: message_delta")[0],
        "gemini": sse({"candidates": [{"content": {"parts": [{"text": "Grüße"}]}}]}, done=False),
        "gemini-interactions": sse(*step({"type": "model_output"}, {"type": "text", "text": "Grüße"}), done=False),
        "openai-responses": sse(
            begin, {"type": "response.output_text.delta", "output_index": 0, "delta": "Grüße"}, done=False
        ),
    }
    for protocol, text in texts.items():
        records = decode(protocol, text + data)
        assert decoding.whole(records, ISSUER)["parts"] == [{"type": "text", "text": "Grüße"}]
        assert records[-1]["code"] == code
        assert message in records[-1]["message"]
    for protocol in texts:
        records = decode(protocol, data)
        assert records[-1]["type"] == "error"
        assert code in ("truncated", records[-1]["code"])
        assert message in records[-1]["message"]


@pytest.mark.parametrize("line", [b"upstream connect error\n", b"upstream connect error", b"error: gone\n", b"5\n"])
def test_lines_of_ollama_that_are_not_json(line: bytes) -> None:
    text = json.dumps({"message": {"content": "a"}, "done": False}).encode() + b"\n"
    records = decode("ollama", text + line)
    assert records[-1]["code"] == "protocol"
    assert line.strip().decode() in records[-1]["message"]


LOST: list[tuple[str, bytes]] = [
    ("openai-chat", sse({"choices": "gone"}, {"choices": [{"delta": {}, "finish_reason": "stop"}]})),
    ("openai-chat", sse({"choices": ["gone"]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]})),
    ("openai-chat", chat({"content": "a", "tool_calls": ["gone"]})),
    ("openai-chat", chat({"content": "a", "tool_calls": "gone"})),
    ("openai-chat", chat({"content": "a", "tool_calls": [{"index": 0, "id": "a", "function": "gone"}]})),
    ("gemini", sse({"candidates": ["gone"]}, {"candidates": [{"finishReason": "STOP"}]}, done=False)),
    ("gemini-interactions", interactions(steps=["gone"])),
    ("gemini-interactions", interactions(*step({"type": "model_output"}, {"type": "text", "text": "a"}, "gone"))),
    ("openai-responses", responses(output=["gone"])),
    ("ollama", ollama({"content": "a", "tool_calls": ["gone"]})),
    ("ollama", ollama({"content": "a", "tool_calls": [{"function": "gone"}]})),
    ("ollama", b'{"message": ["gone"], "done": false}\n{"message": {"content": ""}, "done": true}\n'),
]


@pytest.mark.parametrize(("protocol", "data"), LOST)
def test_values_of_a_wrong_type_are_a_failure_that_shows_them(protocol: str, data: bytes) -> None:
    records = decode(protocol, data)
    assert (records[-1]["type"], records[-1]["code"]) == ("error", "protocol")
    assert "gone" in records[-1]["message"]
    if b'"content": "a"' in data:
        assert {"type": "text", "chunk": "a", "part_index": 0} in records


DEEP: Any = "deep"
for _ in range(300):
    DEEP = [DEEP]
DEEP_STREAMS: list[tuple[str, bytes]] = [
    ("openai-chat", chat({"content": "a", "reasoning_details": [{"type": "x", "data": DEEP}]})),
    ("openai-responses", responses(output=[{"type": "message", "content": "a"}, {"type": "dream", "x": DEEP}])),
    ("anthropic", anthropic(begun("text", text="a"), {**begun("dream", x=DEEP), "index": 1})),
    ("gemini", gemini({"text": "a"}, {"dream": DEEP})),
    (
        "gemini-interactions",
        interactions(*step({"type": "model_output", "content": "a"}), *step({"type": "x", "y": DEEP})),
    ),
    ("gemini-interactions", interactions(steps=[{"type": "model_output", "content": [{"text": "a", "x": DEEP}]}])),
]


@pytest.mark.parametrize(("protocol", "data"), DEEP_STREAMS)
def test_a_value_that_nests_too_deep_to_be_written_is_a_failure(protocol: str, data: bytes) -> None:
    records = decode(protocol, data)
    assert (records[-1]["type"], records[-1]["code"]) == ("error", "protocol")
    assert "a" in [record.get("chunk") for record in records]


TYPES: list[tuple[str, bytes]] = [
    ("openai-chat", chat({"content": ["hi"]})),
    ("openai-chat", chat("hi", finish="stop")),
    ("openai-chat", chat(["h", "i"], finish="stop")),
    ("gemini", gemini("h", "i")),
    ("gemini", sse({"candidates": [{"content": "hi", "finishReason": "STOP"}]}, done=False)),
    ("gemini", sse({"candidates": {"content": {"parts": {"text": "hi"}}, "finishReason": "STOP"}}, done=False)),
    ("gemini-interactions", interactions(steps=[{"type": "model_output", "content": "hi"}])),
    ("gemini-interactions", interactions(*step({"type": "model_output", "content": ["h"]}, {"text": "i"}))),
    ("openai-responses", responses(output=[{"type": "message", "content": "hi"}])),
    ("ollama", b'{"message": "hi", "done": true, "done_reason": "stop"}\n'),
    ("anthropic", anthropic(begun("text", text="h"), changed("text_delta", text="i"), finish="end_turn")),
]


@pytest.mark.parametrize(("protocol", "data"), TYPES)
def test_a_text_of_another_type_is_not_lost(protocol: str, data: bytes) -> None:
    assert parts_of(protocol, data) == [{"type": "text", "text": "hi"}]


INCOMPLETE: list[tuple[Any, str, str]] = [
    ("max_output_tokens", "length", ""),
    ("MAX_TOKENS", "length", ""),
    ("model_context_window_exceeded", "length", ""),
    ("content_filtered", "content_filter", ""),
    ("sensitive", "content_filter", ""),
    ("network_error", "error", "unavailable"),
    ("timeout", "error", "timeout"),
    ("never_seen", "length", ""),
    (None, "length", ""),
]


@pytest.mark.parametrize(("word", "reason", "code"), INCOMPLETE)
def test_reasons_of_incomplete_responses(word: Any, reason: str, code: str) -> None:
    records = decode("openai-responses", responses(status="incomplete", incomplete_details={"reason": word}))
    assert end(records)["finish_reason"] == reason
    assert [record["code"] for record in records if record["type"] == "error"] == ([code] if code else [])
    notices = [record["message"] for record in records if record["type"] == "notice"]
    assert len(notices) == (word == "never_seen") and all("never_seen" in message for message in notices)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_completed_response_that_failed(status: str) -> None:
    error = {"code": "server_error", "message": "it broke"}
    data = responses(error=error, output=[]).replace(b'"status": "completed"', f'"status": "{status}"'.encode())
    records = decode("openai-responses", data)
    assert (records[-1]["type"], records[-1]["message"]) == ("error", "it broke")


@pytest.mark.parametrize(
    "line", [b"upstream is slow\n", b"warning: upstream is slow\n\n", b"<p>upstream is slow</p>\n\n"]
)
def test_text_between_the_events_is_told(line: bytes) -> None:
    text = b'{"candidates": [{"content": {"parts": [{"text": "hi"}]}}]}'
    streams = {
        "openai-chat": chat({"content": "hi"}),
        "anthropic": anthropic(begun("text", text="hi"), finish="end_turn"),
        "gemini": b"data: " + text + b"\n\n" + gemini(),
        "gemini-interactions": interactions(*step({"type": "model_output"}, {"type": "text", "text": "hi"})),
        "openai-responses": responses(output=[{"type": "message", "content": "hi"}]),
    }
    for protocol, data in streams.items():
        head, blank, rest = data.partition(b"\n\n")
        for stream in (line + data, head + blank + line + rest):
            records = decode(protocol, stream)
            assert decoding.whole(records, ISSUER)["parts"] == [{"type": "text", "text": "hi"}]
            assert [record["type"] for record in records[-2:]] == ["notice", "end"]
            assert "upstream is slow" in records[-2]["message"]
    records = decode("openai-chat", streams["openai-chat"] + line)
    assert "other_text" not in [record.get("code") for record in records]
