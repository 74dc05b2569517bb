"""Text for a terminal: visible control characters, and colour.

Rules:
* `visible` shows every C0 and C1 character but newline and tab, DEL and the bidirectional
  controls as symbols: a text cannot control the terminal.
* `visible_json` escapes them in a JSON text, which keeps its meaning.
* Colour follows --color, then NO_COLOR, FORCE_COLOR and TERM=dumb, then whether the
  descriptor is a terminal.
"""

from __future__ import annotations

import os

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)
_SYMBOLS: dict[int, int | str] = {
    **{code: 0x2400 + code for code in range(32) if code not in (9, 10)},
    0x7F: 0x2421,
    **{code: f"<{code:02X}>" for code in range(0x80, 0xA0)},
    **{code: f"<U+{code:04X}>" for code in _BIDI},
}

_ESCAPES: dict[int, str] = {
    0x0D: " ",  # between two tokens: JSON has no other control character
    **{code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_BIDI)},
}

DIM, RED, YELLOW, CYAN = "2", "31", "33", "36"


def visible(text: str) -> str:
    """Return `text` with control characters shown as symbols (ESC as U+241B, and so on)."""
    return text.translate(_SYMBOLS)


def visible_json(data: bytes) -> bytes:
    """Return JSON texts in UTF-8 with control characters as escapes such as \\u009b."""
    return data.decode(errors="surrogateescape").translate(_ESCAPES).encode(errors="surrogateescape")


def wants_colour(when: str, is_terminal: bool) -> bool:
    """Return whether to write colour: `when` is auto, always or never (--color)."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, is_wanted: bool) -> str:
    """Return `text` in a colour (an SGR number) if that is wanted."""
    return f"\x1b[{colour}m{text}\x1b[0m" if is_wanted and text else text
