"""Every recorded reply, with one JSON value replaced or removed.

Whatever a server sends at one place: nothing crashes, a reply with less text than came says so,
and a call runs only with arguments that were sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from support.decoding import Machine, machines
from support.odd_values import REPLACEMENTS, Recording, losses
from support.paths import RECORDINGS
from support.recorded import anthropic, chat, gemini, interactions, ollama, responses
from support.recordings import ISSUER, fed, read, whole

PROTOCOLS = {
    "openai-chat": [*chat.STREAMS, *chat.BODIES],
    "openai-responses": [*responses.STREAMS, *responses.BODIES],
    "anthropic": [*anthropic.STREAMS, *anthropic.BODIES],
    "gemini": [*gemini.STREAMS, *gemini.BODIES],
    "gemini-interactions": [*interactions.STREAMS, *interactions.BODIES],
    "ollama": [*ollama.STREAMS, *ollama.BODIES],
}
SEVERAL = ("ai__azure-reasoning-encrypted-content.1", "ai__cerebras-cererebras-structured-output-tools.1")
"""Files with several replies, one behind the other."""
RECORDED = [
    (protocol, name)
    for protocol, files in PROTOCOLS.items()
    for name in files
    if not any(word in name for word in SEVERAL)
]
SAMPLED = 5
"""How many odd values of each recording the fast tests try."""

pytestmark = pytest.mark.skipif(not RECORDED, reason=f"no recordings in {RECORDINGS}")


def maker(protocol: str, name: str) -> Callable[[], Machine]:
    make = machines(protocol)
    return lambda: chat.decoder(name) if protocol == "openai-chat" else make(ISSUER)


def faults(protocol: str, name: str, count: int | None) -> list[str]:
    """What is lost in silence, for `count` odd values, or all."""
    recording = Recording(name, maker(protocol, name))
    if not recording.is_complete:
        return []
    cases = [(place, value) for place in recording.places() for value in REPLACEMENTS]
    chosen = cases if count is None else random.Random(name).sample(cases, min(count, len(cases)))
    return [
        f"{place.path} in line {place.line} as {value!r}: {loss}"
        for place, value in chosen
        for loss in losses(recording.message, recording.records_with(place, value), place, value)
    ]


@pytest.mark.exhaustive
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_odd_value_is_told_or_costs_nothing(protocol: str) -> None:
    found = {name: faults(protocol, name, SAMPLED) for name in PROTOCOLS[protocol]}
    assert {name: lost for name, lost in found.items() if lost} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "name"), RECORDED)
def test_every_odd_value_is_told_or_costs_nothing(protocol: str, name: str) -> None:
    assert faults(protocol, name, None) == []


GARBAGE = (b"\xff", b"\0", b'"', b"\n", b"}", b"\r\n\r\n", b"data: ")


def mutilated(data: bytes, name: str, count: int) -> Iterator[bytes]:
    """A reply with garbage at random places, and with one of its events sent twice; the same ones each time."""
    source = random.Random(name)
    for _ in range(count):
        at = source.randrange(len(data))
        yield data[:at] + source.choice(GARBAGE) + data[at + source.choice((0, 1)) :]
    events = data.split(b"\n\n")
    for _ in range(count // 5):
        at = source.randrange(len(events))
        yield b"\n\n".join([*events[: at + 1], *events[at:]])


def check_mutilated(protocol: str, name: str, count: int) -> None:
    """Read mutilated replies: each is a valid message, or a failure with what came before it."""
    make = maker(protocol, name)
    for data in mutilated(read(name), name, count):
        machine = make()
        records = machine.body(data) if name.endswith(".json") else fed(machine, data)
        message = whole(records)
        ends = [record["type"] for record in records if record["type"] in ("end", "error")]
        assert ends in (["end"], ["error"], ["end", "error"]), message


@pytest.mark.exhaustive
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_mutilated_reply_is_a_message_or_a_failure(protocol: str) -> None:
    for name in PROTOCOLS[protocol]:
        check_mutilated(protocol, name, SAMPLED)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "name"), RECORDED)
def test_a_reply_mutilated_anywhere_is_a_message_or_a_failure(protocol: str, name: str) -> None:
    check_mutilated(protocol, name, 100)
