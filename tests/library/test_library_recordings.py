"""Every recording, read by the synchronous and by the asynchronous library: the events are the same.

What is replaced is the connection alone (`Connection` and `AsyncConnection` of `transport`, which do
nothing but send and read): `Response`, `AsyncResponse`, `Exchange.batches` and `Exchange.abatches`,
the attempts and the decoders are the real ones. The connections themselves are compared in
test_library.py, for each protocol, against a server.
"""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import llmtools
from llmtools.http import transport
from llmtools.http.request import Limits, Opened
from support.library import timeless
from support.paths import RECORDINGS

PROTOCOLS = {
    "anthropic": "anthropic",
    "chat": "openai-chat",
    "responses": "openai-responses",
    "gemini": "gemini",
    "interactions": "gemini-interactions",
    "ollama": "ollama",
}
SIZE = 777
"""The bytes of one read: pieces that end where no event does."""

if not (RECORDINGS / "INDEX.tsv").exists():
    pytest.skip(f"no recordings in {RECORDINGS}", allow_module_level=True)


def rows() -> list[dict[str, str]]:
    with open(RECORDINGS / "INDEX.tsv", newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


ROWS = [row for row in rows() if row["protocol"] in PROTOCOLS]


def read(row: dict[str, str]) -> bytes:
    data = (RECORDINGS / row["file"]).read_bytes()
    if row["file"].endswith(".chunks.jsonl") and row["protocol"] != "ollama":
        return b"".join([b"data: " + line + b"\n\n" for line in data.split(b"\n") if line.strip()])
    return data


class Recorded:
    """A connection that has a recording for an answer. It has none for who reads on a reply in the background."""

    answer: Opened
    body: bytes

    def __init__(self) -> None:
        self._pieces: Iterator[bytes] = iter([])

    def open(self, opening: Any) -> Opened:
        if opening.request.method == "GET":
            self._pieces = iter([])
            return Opened(404, {})
        self._pieces = iter([self.body[place : place + SIZE] for place in range(0, len(self.body), SIZE)])
        return self.answer

    def read(self) -> bytes:
        return next(self._pieces, b"")

    def close(self) -> None:
        self._pieces = iter([])


class AsyncRecorded(Recorded):
    """The same, for asyncio: other tasks run between two reads."""

    async def open(self, opening: Any) -> Opened:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().open(opening)

    async def read(self) -> bytes:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().read()

    async def close(self) -> None:  # type: ignore[override]
        super().close()


def asked(row: dict[str, str]) -> dict[str, Any]:
    return {"stream": row["kind"] != "unary", "limits": Limits(retries=0, pauses=1)}


def told(response: llmtools.Response | llmtools.AsyncResponse) -> list[Any]:
    """The events that came, also of a reply that failed, and the error."""
    events = [timeless(event) for event in response._state.events]
    return [*events, None if response.error is None else response.error.to_record()]


def said(messages: list[llmtools.Message]) -> Any:
    """The messages, without what differs from one request to the next."""
    rest = [{name: value for name, value in message.items() if name != "response"} for message in messages]
    return json.loads(re.sub(r'"~[0-9a-f]{12}\.', '"~', llmtools.dumps(rest).decode()))


@pytest.mark.exhaustive
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_both_ways_give_the_same_events(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "Connection", Recorded)
    monkeypatch.setattr(transport, "AsyncConnection", AsyncRecorded)
    here = [row for row in ROWS if row["protocol"] == protocol]
    model = llmtools.get_model("m", base_url="http://127.0.0.1:9", protocol=PROTOCOLS[protocol])
    async_model = llmtools.get_async_model("m", base_url="http://127.0.0.1:9", protocol=PROTOCOLS[protocol])

    async def read_all() -> list[llmtools.AsyncResponse]:
        found = []
        for row in here:
            Recorded.answer, Recorded.body = Opened(int(row["status"]), {}), read(row)
            found.append(await async_model.prompt("hi", **asked(row)))
        return found

    whole = 0
    for row, theirs in zip(here, asyncio.run(read_all()), strict=True):
        Recorded.answer, Recorded.body = Opened(int(row["status"]), {}), read(row)
        ours = model.prompt("hi", **asked(row))
        ours.wait()
        assert told(ours) == told(theirs), row["file"]
        assert said(ours.messages()) == said(theirs._state.messages), row["file"]
        whole += ours.error is None
    assert len(here) > 10 and whole > len(here) / 2, "most of them are replies that end well"
