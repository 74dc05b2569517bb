"""Recorded traffic of providers, where it lies: what the tests of each protocol have in common.

LLMTOOLS_RECORDINGS names the directory of the recordings; without it `../shared/recordings`
beside the checkout is taken (see `support.paths`), and without that the tests that need them
are skipped.
"""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from typing import Any

from support import decoding
from support.decoding import Machine
from support.paths import RECORDINGS

Object = dict[str, Any]

ISSUER = "recorded"
_STATUS = 6
"""The column of INDEX.tsv that has the HTTP status."""


def lines(name: str) -> dict[str, Object]:
    """The lines of a file of JSON Lines, by the recording that each is about."""
    path = RECORDINGS / name
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {line["file"]: line for line in found}


def names(*patterns: str) -> list[str]:
    """The recordings that patterns name, without the requests that belong to them."""
    found = [
        path for pattern in patterns for path in RECORDINGS.glob(pattern) if not path.name.endswith(".request.json")
    ]
    return sorted(str(path.relative_to(RECORDINGS)) for path in found if path.is_file())


def requests(protocol: str) -> list[str]:
    """The recorded requests of a protocol."""
    return sorted(str(path.relative_to(RECORDINGS)) for path in RECORDINGS.glob(f"{protocol}/**/*.request.json"))


def read(name: str) -> bytes:
    """What a recording holds; payloads whose framing was taken off get it back."""
    data = (RECORDINGS / name).read_bytes()
    if name.endswith(".chunks.jsonl"):
        return b"".join([b"data: " + line + b"\n\n" for line in data.split(b"\n") if line.strip()])
    return data


def status_of(name: str) -> int:
    """The HTTP status of a recording."""
    index = (RECORDINGS / "INDEX.tsv").read_text().splitlines()
    return next(int(line.split("\t")[_STATUS]) for line in index if line.startswith(name + "\t"))


def fed(machine: Machine, *pieces: bytes) -> list[Object]:
    """All records of a stream that comes in pieces."""
    return [record for piece in pieces for record in machine.feed(piece)] + machine.eof()


def ended(machine: Machine) -> list[Object]:
    """The records with which a stream would end here."""
    copy: Machine = pickle.loads(pickle.dumps(machine))  # in half the time of deepcopy
    return copy.eof()


def whole(records: list[Object]) -> Object:
    """The message of draft records, each of them checked, as if `Exchange` had completed them."""
    return decoding.whole(records, ISSUER)


def call_of(part: Object) -> tuple[str, Any]:
    """The name and the arguments of a call, as text where they are no object."""
    return part["name"], part["arguments_raw"] if "exception" in part else part["arguments"]


def cut_apart(name: str, data: bytes, times: int = 5) -> Iterator[list[bytes]]:
    """A stream byte by byte, then cut at random places, the same ones each time."""
    yield [data[at : at + 1] for at in range(len(data))]
    source = random.Random(name)
    for _ in range(times):
        cuts = sorted(source.randrange(len(data)) for _ in range(30))
        yield [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def sampled(name: str, data: bytes, least: int) -> list[int]:
    """Places to cut a stream off: near its terminal event, behind lines, and anywhere."""
    least = min(least, len(data))
    source = random.Random(name)
    near = [least + step for step in (-3, -2, -1, 0, 1, 2, 3)]
    boundaries = [at + 1 for at in range(len(data)) if data[at] == 10][:60]
    some = [source.randrange(len(data)) for _ in range(60)]
    return sorted({at for at in [0, *near, *boundaries, *some, len(data)] if 0 <= at <= len(data)})
