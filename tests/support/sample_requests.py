"""What is asked for in every protocol: a value for each option, and a file of each kind."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from typing import Any

VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.25,
    "top_k": 7,
    "max_tokens": 99,
    "stop": "END",
    "seed": 42,
    "presence_penalty": 0.75,
    "frequency_penalty": 0.125,
    "parallel_tool_calls": False,
    "service_tier": "flex",
    "verbosity": "low",
}


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\1\2\3")) + chunk(b"IEND", b"")
    )


def wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(range(64)))
    return file.getvalue()


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64)
FILES = {"image.png": png(), "paper.pdf": PDF, "sound.wav": wav(), "film.mp4": MP4, "table.csv": b"a,b\n1,2\n"}
