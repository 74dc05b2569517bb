"""llm-parts -x: which text is a code block."""

from __future__ import annotations

import pytest

from llmtools.cli.parts.select import extract

BLOCKS: list[tuple[str, str, str]] = [
    ("no block", "no block", "no block"),
    ("a\n```py\nx\n```\nb\n~~~\ny\n~~~\n", "x\n", "y\n"),
    ("```\n```", "", ""),
    ("```\nx\n```", "x\n", "x\n"),
    ("```\nx\n``` \t\nb", "x\n", "x\n"),
    ("````md\n```py\nx\n```\n````\n", "```py\nx\n```\n", "```py\nx\n```\n"),
    ("```\nx\n`````\n", "x\n", "x\n"),
    ("```\nx\n~~~\ny\n```\n", "x\n~~~\ny\n", "x\n~~~\ny\n"),
    ("`````\nno end\n```\nx\n```\n", "x\n", "x\n"),
    ("```a``` is code\n```\nx\n```\n", "x\n", "x\n"),
    ("~~~ a ~~~\nx\n~~~\n", "x\n", "x\n"),
    ("```\nno end", "```\nno end", "```\nno end"),
    ("```\nx\n``` y\n```\nlast", "x\n``` y\n", "x\n``` y\n"),
    ("```\r\nx\r\n```\r\nlast\r\n", "x\r\n", "x\r\n"),
    (" ```\nx\n ```\n", " ```\nx\n ```\n", " ```\nx\n ```\n"),
]


@pytest.mark.parametrize(("text", "first", "last"), BLOCKS)
def test_the_first_and_the_last_block(text: str, first: str, last: str) -> None:
    assert (extract(text), extract(text, last=True)) == (first, last)


@pytest.mark.parametrize(
    "line", ["```\n", "~~~x\n", "````\n```\n", "```x\n````x\n", "`" * 99 + "x\n", "```" * 30 + "\n"]
)
def test_many_fences_take_no_longer_than_their_lines(line: str) -> None:
    """With time that grows with the square, this would run for hours."""
    text = line * (3_000_000 // len(line))
    assert len(extract("`````\n" + text + "~~~~~~~")) <= len(text) + 13
