"""One conversation through the protocols in every order of two, with the vendors' own SDKs
as referees of each request: made by one, continued by another, and then by the first again."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import llmtools
from llmtools.protocols import PROTOCOLS
from support import sample_conversations as talk
from support.harness import Done, Shell
from support.referees import RefusedError, judge, require
from support.sample_conversations import Object
from support.server import Server

IMAGE = b"\x89PNG\r\n\x1a\n and no more"
EACH = pytest.mark.parametrize("protocol", PROTOCOLS)
OTHER = pytest.mark.parametrize("other", PROTOCOLS)


class Talks:
    """The servers of the vendors, one each for as long as it is asked, so that an issuer
    stays the same; and the conversation as each of them began it."""

    def __init__(self, stack: ExitStack) -> None:
        self._begun: dict[str, bytes] = {}
        self.servers = {protocol: stack.enter_context(Server()) for protocol in PROTOCOLS}

    def send(self, protocol: str) -> str:
        """Return the command that asks a server, which will give its reply."""
        server = self.servers[protocol]
        server.requests.clear()
        server.answers[:] = [talk.streamed(protocol, talk.REPLIES[protocol])]
        return f"llm-send --base-url {server.origin} --protocol {protocol} -m m --retries 0"

    def sent(self, protocol: str) -> Object:
        """Return the body of the one request to a server since then."""
        body: Object = self.servers[protocol].only.json
        return body

    def begun(self, protocol: str, shell: Shell) -> bytes:
        """Return the conversation as a vendor began it: its reply, the results, a question."""
        if protocol not in self._begun:
            ask = f"llm-msg system '{talk.SYSTEM}' | llm-msg user '{talk.QUESTION}' | {self.send(protocol)}"
            done = shell.run(ask, stdin=line(talk.TOOL))
            assert (done.status, notices(done.records)) == (0, []), done.err
            assert judge(protocol, self.sent(protocol)) == []
            self._begun[protocol] = answered(done)
        return self._begun[protocol]


def line(record: Object) -> bytes:
    return json.dumps(record).encode() + b"\n"


def answered(done: Done) -> bytes:
    """Return a stream with the results behind its reply, and then the next question."""
    reply = next(record for record in reversed(done.records) if record["type"] == "message")
    return done.out + line(talk.results(reply)) + line({"type": "message", **llmtools.user(talk.NEXT)})


@pytest.fixture(scope="module")
def talks() -> Iterator[Talks]:
    require()
    with ExitStack() as stack:
        yield Talks(stack)


def notices(records: list[Object]) -> list[str]:
    """Return what the last request has left out."""
    ends = [place for place, record in enumerate(records) if record["type"] == "message"]
    asked = [place for place in ends if records[place]["role"] == "user"][-1]
    return sorted(record["code"] for record in records[asked:] if record["type"] == "notice")


def left_out(protocol: str) -> list[str]:
    """Return the notices of what another vendor cannot be sent of a reply."""
    return [*(["dropped_annotation"] if protocol in talk.CITES else []), "dropped_reasoning"]


def found(protocol: str, sent: str) -> list[str]:
    return [text for text in talk.canaries(protocol) if text in sent]


def wanted_back(protocol: str) -> list[str]:
    return [talk.thought(protocol), *(talk.canary(protocol, place) for place in talk.WANTED_BACK[protocol])]


@EACH
def test_the_reply_has_all_that_is_asked_of_it(protocol: str, talks: Talks, shell: Shell) -> None:
    *records, _, _ = [json.loads(record) for record in talks.begun(protocol, shell).splitlines()]
    reply = next(record for record in records if record.get("role") == "assistant")
    assert reply == dict(llmtools.message_of(records)), "the first law"
    kinds = [part["type"] for part in reply["parts"]]
    assert kinds == ["reasoning", "text", "tool_call", "tool_call"]
    assert [part.get("text") for part in reply["parts"][:2]] == [talk.thought(protocol), talk.CITED]
    assert [part["arguments"] for part in reply["parts"][2:]] == talk.CALLS
    cited = [(item["url"], item["title"]) for item in reply["parts"][1].get("annotations", ())]
    assert cited == ([tuple(talk.SOURCE.values())] if protocol in talk.CITES else [])
    told = [talk.canary(protocol, "told")]
    assert found(protocol, json.dumps(reply, ensure_ascii=False)) == [*wanted_back(protocol), *told]


@OTHER
@EACH
def test_there_and_back(protocol: str, other: str, talks: Talks, shell: Shell) -> None:
    begun = talks.begun(protocol, shell)
    there = shell.run(talks.send(other), stdin=begun)
    assert there.status == 0, there.err
    body = talks.sent(other)
    assert judge(other, body) == [2]
    sent = json.dumps(body, ensure_ascii=False)
    for said in (talk.SYSTEM, talk.QUESTION, talk.CITED, talk.OUTPUT, talk.FAILED, talk.NEXT):
        assert said in sent
    is_own = protocol == other
    assert found(protocol, sent) == (wanted_back(protocol) if is_own else [])
    assert notices(there.records) == ([] if is_own else left_out(protocol))

    back = shell.run(talks.send(protocol), stdin=answered(there))
    assert back.status == 0, back.err
    body = talks.sent(protocol)
    assert judge(protocol, body) == [2, 2]
    sent = json.dumps(body, ensure_ascii=False)
    assert found(protocol, sent) == wanted_back(protocol)
    if not is_own:
        assert found(other, sent) == []
        assert notices(back.records) == left_out(other)


ASKED = (
    "",
    "-o max_tokens 100 -o stop END -o temperature 0.5 -o seed 7",
    "--reasoning high",
    "--reasoning none",
    "--schema 'title, people int: how many, tags'",
    "--tool-choice auto",
    "--tool-choice none",
    "--tool-choice required",
    "--tool-choice get_weather",
    "--no-stream",
)
"""What is asked beside the words."""

UNKNOWN = {
    "anthropic": "-o temperature 0.5 -o seed 7",
    "openai-responses": "-o stop END -o temperature 0.5 -o seed 7",
}
"""Protocol -> options that its newest version has none for: they are sent as the user wrote them."""


@pytest.mark.parametrize("options", ASKED)
@EACH
def test_what_can_be_asked_is_allowed(protocol: str, options: str, talks: Talks, shell: Shell) -> None:
    options = options.removesuffix(UNKNOWN.get(protocol, ""))
    (shell.folder / "image.png").write_bytes(IMAGE)
    (shell.folder / "page.pdf").write_bytes(b"%PDF-1.7 and no more")
    attached = "-a image.png" if protocol == "ollama" else "-a image.png -a page.pdf"
    asked = f"llm-msg user '{talk.QUESTION}' {attached} | {talks.send(protocol)} {options}"
    shell.run(asked, stdin=line(talk.TOOL))  # its answer is a stream, and fits no schema: the request is meant
    assert judge(protocol, talks.sent(protocol)) == []


# The referees themselves

GONE = object()
"""What a broken body has at a place: nothing."""

Path = tuple[str | int, ...]
BROKEN: dict[str, list[tuple[Path, Any]]] = {
    "openai-chat": [
        (("messages",), GONE),
        (("messages", 1, "role"), "teacher"),
        (("messages", 1, "content"), [{"type": "picture", "text": "?"}]),
        (("messages", 1, "mood"), "good"),
        (("messages", 2, "tool_calls", 0, "id"), GONE),
        (("messages", 2, "tool_calls", 0, "function", "arguments"), {}),
        (("messages", 2, "tool_calls", 1, "type"), "question"),
        (("messages", 3, "tool_call_id"), GONE),
        (("messages", 3, "tool_call_id"), "call_7"),
        (("messages", 3), GONE),
        (("tools", 0, "function", "name"), GONE),
    ],
    "anthropic": [
        (("max_tokens",), GONE),
        (("messages", 0, "role"), "tool"),
        (("messages", 0, "content", 0, "type"), "picture"),
        (("messages", 1, "content", 0, "signature"), GONE),
        (("messages", 1, "content", 1, "citations", 0, "encrypted_index"), GONE),
        (("messages", 1, "content", 2, "id"), GONE),
        (("messages", 1, "content", 2, "field"), "reasoning_content"),
        (("messages", 2, "content", 0, "tool_use_id"), GONE),
        (("messages", 2, "content", 0), GONE),
        (("tools", 0, "input_schema"), GONE),
    ],
    "gemini": [
        (("contents",), GONE),
        (("contents", 1, "role"), "assistant"),
        (("contents", 1, "parts", 0, "type"), "thinking"),
        (("contents", 1, "parts", 0, "thoughtSignature"), "no base64!"),
        (("contents", 1, "parts", 2, "functionCall", "args"), "{}"),
        (("contents", 2, "parts", 0), GONE),
        (("tools", 0, "functionDeclarations", 0, "input_schema"), {}),
        (("max_tokens",), 5),
    ],
    "gemini-interactions": [
        (("model",), GONE),
        (("input", 0, "type"), "question"),
        (("input", 1, "signature"), 5),
        (("input", 1, "mood"), "good"),
        (("input", 2, "content", 0, "type"), "picture"),
        (("input", 2, "content", 0, "annotations", 0, "mood"), "good"),
        (("input", 3, "arguments"), "{}"),
        (("input", 3, "id"), GONE),
        (("input", 5, "call_id"), "call_7"),
        (("input", 5), GONE),
        (("tools", 0, "input_schema"), {}),
        (("generation_config", "max_tokens"), 5),
        (("max_output_tokens",), 5),
    ],
    "ollama": [
        (("model",), GONE),
        (("messages", 1, "role"), "teacher"),
        (("messages", 1, "content"), [{"type": "text", "text": "?"}]),
        (("messages", 1, "mood"), "good"),
        (("messages", 2, "tool_calls", 0, "function", "arguments"), "{}"),
        (("messages", 2, "tool_calls", 0, "function", "name"), GONE),
        (("messages", 3, "tool_call_id"), "call_7"),
        (("messages", 3), GONE),
        (("tools", 0, "function", "parameters", "type"), "array"),
    ],
    "openai-responses": [
        (("input", -1, "role"), "teacher"),
        (("input", -1, "content"), [{"type": "picture", "text": "?"}]),
        (("input", -2, "call_id"), GONE),
        (("input", -2, "call_id"), "call_7"),
        (("input", -2, "output"), {}),
        (("input", -2), GONE),
        (("input", -4, "arguments"), {}),
        (("input", -4, "type"), "question"),
        (("input", -4, "mood"), "good"),
        (("tools", 0, "name"), GONE),
    ],
}
"""Protocol -> places of a good body, and what stands there in a broken one."""


@EACH
def test_a_referee_refuses_a_body_that_is_broken(protocol: str, talks: Talks, shell: Shell) -> None:
    begun = talks.begun(protocol, shell)
    assert shell.run(talks.send(protocol), stdin=begun).status == 0
    good = talks.sent(protocol)
    judge(protocol, good)
    for path, value in BROKEN[protocol]:
        with pytest.raises(RefusedError):
            judge(protocol, broken(good, path, value))
            pytest.fail(f"{path} with {value!r} was let by")


def broken(body: Object, path: Path, value: Any) -> Object:
    """Return a body with another value at a place, or with none."""
    holder = changed = copy.deepcopy(body)
    for step in path[:-1]:
        holder = holder[step]  # type: ignore[index]
    if value is GONE:
        del holder[path[-1]]  # type: ignore[arg-type]
    else:
        holder[path[-1]] = value  # type: ignore[index]
    return changed
