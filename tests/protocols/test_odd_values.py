"""Every recorded reply, with one JSON value replaced or removed.

Whatever a server sends at one place: nothing crashes, a reply with less text than came says so,
and a call runs only with arguments that were sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from support.decoding import Machine, machines
from support.odd_values import REPLACEMENTS, Recording, losses
from support.paths import RECORDINGS
from support.recorded import anthropic, chat, gemini, interactions, ollama, responses
from support.recordings import ISSUER

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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_odd_value_is_told_or_costs_nothing(protocol: str) -> None:
    found = {name: faults(protocol, name, SAMPLED) for name in PROTOCOLS[protocol]}
    assert {name: lost for name, lost in found.items() if lost} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "name"), RECORDED)
def test_every_odd_value_is_told_or_costs_nothing(protocol: str, name: str) -> None:
    assert faults(protocol, name, None) == []
