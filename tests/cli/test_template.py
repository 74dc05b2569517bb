"""Templates as they are read: what they may say, and what is refused."""

from __future__ import annotations

import pytest

from llmtools.cli.msg import template
from llmtools.errors import InputError, NoInputError, UsageError


@pytest.mark.parametrize(
    ("text", "ending", "said"),
    [
        (b"prompt = 3", ".toml", "prompt must be a string"),
        (b"promt = 'a'", ".toml", "'promt' is not known: perhaps prompt"),
        (b"prompt = 'a", ".toml", "(at "),
        (b"prompt = 'costs $5'", ".toml", "is written $$"),
        (b"tools = ['x']", ".toml", "a list of tables"),
        (b"schema = 'a b c'", ".toml", "the template t: schema: 'a b c' is not NAME"),
        (b"schema = 'none.json'", ".toml", "the template t: none.json: No such file"),
        (b"[[tools]]\nname = 3", ".toml", "the template t: tool: name must be"),
        (b"options = {a = nan}", ".toml", "the template t: not JSON: nan"),
        (b"1: 2", ".yaml", "the template t: not JSON"),
        (b"a: [", ".yaml", "while parsing"),
        (b"- a", ".yaml", "a table or a string"),
        (b"\xff", ".txt", "not UTF-8"),
    ],
)
def test_an_invalid_template_is_refused(text: bytes, ending: str, said: str) -> None:
    if ending == ".yaml":
        pytest.importorskip("yaml")
    with pytest.raises(InputError) as caught:
        template.parse_template("t", text, ending)
    assert said in caught.value.message


def test_no_template_is_looked_for_outside() -> None:
    with pytest.raises(NoInputError):
        template.load_template("")
    with pytest.raises(UsageError):
        template.parse_template("t", b"$a", ".txt").fill("prompt", {}, None)
