"""Conversations in which the provider ran its own tools, as recorded: shown as they come,
stored, and continued in a new process with the same blocks."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

from support.harness import Shell
from support.paths import RECORDINGS
from support.protocol_replies import answer, send
from support.recorded import anthropic, gemini, interactions, responses
from support.recordings import read
from support.sample_conversations import sse
from support.sample_requests import FILES
from support.server import Answer, Close, Server, head

Object = dict[str, Any]


def anthropic_blocks(data: bytes) -> list[Object]:
    return anthropic.less_output_only(anthropic.final_blocks(data))


def gemini_blocks(data: bytes) -> list[Object]:
    return gemini.compared(gemini.final_parts(data))


def interaction_steps(data: bytes) -> list[Object]:
    return interactions.less_output_only(interactions.final_steps(data))


def interaction_sent(body: Object) -> list[Object]:
    steps: list[Object] = body["input"][1:-1]
    return steps


def response_items(data: bytes) -> list[Object]:
    return responses.less_output_only(responses.final_items(data))


def anthropic_sent(body: Object) -> list[Object]:
    blocks: list[Object] = body["messages"][1]["content"]
    return blocks


def gemini_sent(body: Object) -> list[Object]:
    return gemini.compared(body["contents"][1]["parts"])


def responses_sent(body: Object) -> list[Object]:
    return responses.less_output_only(body["input"][1:-1])


RECORDED = {
    "web search with citations": (
        "anthropic",
        "anthropic/llm-anthropic__test_web_search.sse",
        anthropic_blocks,
        anthropic_sent,
    ),
    "code execution": (
        "anthropic",
        "anthropic/pydantic-ai__test_anthropic_code_execution_tool_stream.sse",
        anthropic_blocks,
        anthropic_sent,
    ),
    "code execution of Gemini": (
        "gemini",
        "gemini/vertexai-sdk-test-data__googleai-streaming-success-code-execution.sse",
        gemini_blocks,
        gemini_sent,
    ),
    "web search of Gemini": (
        "gemini-interactions",
        "interactions/ai__google-search.chunks.jsonl",
        interaction_steps,
        interaction_sent,
    ),
    "web search of OpenAI": (
        "openai-responses",
        "responses/pydantic-ai__test_openai_responses_model_web_search_tool_stream.sse",
        response_items,
        responses_sent,
    ),
    "code interpreter": (
        "openai-responses",
        "responses/ai__openai-code-interpreter-tool.1.chunks.jsonl",
        response_items,
        responses_sent,
    ),
    "image generation": (
        "openai-responses",
        "responses/ai__xai-image-generation-tool.1.chunks.jsonl",
        response_items,
        responses_sent,
    ),
}


def played(data: bytes) -> Answer:
    return [head(connection="close"), data, Close.FIN]


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.skipif(not anthropic.STREAMS, reason=f"no recordings in {RECORDINGS}")
def test_it_is_shown_stored_and_continued(name: str, shell: Shell) -> None:
    protocol, file, final, sent = RECORDED[name]
    said: Callable[[Object], list[Object]] = sent
    data = read(file)
    with Server(played(data), answer(protocol)) as server:
        asking = send(server, protocol)
        shown = shell.run(f"llm-msg user hi | {asking} --save talk.jsonl | tee all.jsonl | llm-parts")
        assert (shown.status, shown.err) == (0, "")
        done = shell.run(f"llm-msg user 'go on' < talk.jsonl | {asking}")
        assert done.status == 0, done.err
        assert said(server.requests[1].json) == final(data)
    records = shell.run("cat all.jsonl").records
    chunks = "".join(record["chunk"] for record in records if record["type"] == "text")
    assert shown.text.rstrip("\n") == chunks.rstrip("\n")
    [_, message] = shell.run("cat talk.jsonl").records
    calls = [part for part in message["parts"] if part["type"] == "tool_call"]
    assert all(part["server_executed"] for part in calls)
    assert calls or any(part["type"] == "attachment" for part in message["parts"])
    if "citations" in name:
        cited = [note for part in message["parts"] for note in part.get("annotations", ())]
        assert cited and all(note["url"].startswith("http") and note["cited_text"] for note in cited)


def test_an_image_that_the_models_code_made(shell: Shell) -> None:
    """No recording has one: a stream as section 4 of the facts describes it."""
    image = b64encode(FILES["image.png"]).decode()
    parts: list[Object] = [
        {"executableCode": {"language": "PYTHON", "code": "plot()", "id": "x1"}, "thoughtSignature": "c2ln"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "drawn\n", "id": "x1"}},
        {"inlineData": {"mimeType": "image/png", "data": image}},
        {"text": "Here it is."},
    ]
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts]
    end = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}
    with Server(played(sse(*chunks, end)), answer("gemini")) as server:
        asking = send(server, "gemini")
        shown = shell.run(f"llm-msg user plot | {asking} --save talk.jsonl | llm-parts --save made")
        assert (shown.status, shown.text) == (0, "Here it is.\n")
        done = shell.run(f"llm-msg user 'go on' < talk.jsonl | {asking}")
        assert done.status == 0, done.err
        assert server.requests[1].json["contents"][1]["parts"] == parts
    [saved] = (shell.folder / "made").iterdir()
    assert saved.read_bytes() == b64decode(image)
    assert saved.suffix == ".png"
