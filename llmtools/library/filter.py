"""Streams read and written by programs of one's own: a filter in a few lines.

import llmtools

for record in llmtools.read_stream():
    if record["type"] != "reasoning":
        llmtools.write_stream(record)
"""

from __future__ import annotations

import sys
from typing import Any

from ..records.jsonl import Decoder, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

CHUNK_SIZE = 1 << 18


def read_stream(file: BinaryIO | None = None) -> Iterator[dict[str, Any]]:
    """Yield the records of a stream as they come: of stdin, or of a file that is open for bytes.

    Raises InputError, with the number of the line, for one that is no record; the records before
    it have been yielded.

        for record in llmtools.read_stream():
            if record["type"] != "reasoning":
                llmtools.write_stream(record)
    """
    source: Any = sys.stdin.buffer if file is None else file
    decoder = Decoder()
    read = getattr(source, "read1", source.read)
    while decoder.error is None and (data := read(CHUNK_SIZE)):
        for record, _ in decoder.feed(data):
            yield record
    for record, _ in decoder.eof():
        yield record
    if decoder.error is not None:
        raise decoder.error


def write_stream(*records: Mapping[str, Any], file: BinaryIO | None = None) -> None:
    """Write records as lines, at once: to stdout, or to a file that is open for bytes.

    Raises InputError for what is no JSON.

        llmtools.write_stream(llmtools.user("hi"))
    """
    target: Any = sys.stdout.buffer if file is None else file
    target.write(b"".join([dumps(record) + b"\n" for record in records]))
    target.flush()
