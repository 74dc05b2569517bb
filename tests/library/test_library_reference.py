"""The reference page of the library is its docstrings: each public name has one, with an example
that runs, and what an example says to be its value is its value."""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import llmtools
from llmtools.library import messages
from support.paths import ROOT

README = (ROOT / "README.md").read_text("utf-8")
TWIN = re.compile(r"[Aa]s `[\w.]+`")
"""What a docstring says that has its example elsewhere."""
LINES = b'{"role":"user","content":"hi"}\n{"type":"reasoning","chunk":"a","part_index":0}\n'


def members(name: str) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class has of its own or from our own classes."""
    kind = getattr(llmtools, name)
    for member, value in inspect.getmembers_static(kind):
        owner = next(each for each in kind.__mro__ if member in vars(each))
        if not member.startswith("_") and owner.__module__.startswith("llmtools"):
            yield f"{name}.{member}", value.__func__ if isinstance(value, (classmethod, staticmethod)) else value


def names() -> dict[str, Any]:
    found = {}
    for name in llmtools.__all__:
        found[name] = getattr(llmtools, name)
        if inspect.isclass(found[name]):
            found.update(members(name))
    return found


def is_code(text: str) -> bool:
    try:
        tree = compile(text, "example", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return "(" in text and isinstance(tree, ast.Module)


def example_of(doc: str) -> str | None:
    """The longest run of paragraphs that is a program."""
    paragraphs = re.split(r"\n\n+", inspect.cleandoc(doc))
    for size in range(len(paragraphs), 0, -1):
        for place in range(len(paragraphs) - size + 1):
            text = dedent("\n\n".join(paragraphs[place : place + size]))
            if is_code(text):
                return text
    return None


PUBLIC = names()
EXAMPLES = {name: found for name, value in PUBLIC.items() if (found := example_of(value.__doc__ or ""))}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_a_docstring_with_an_example(name: str) -> None:
    value = PUBLIC[name]
    if getattr(value, "__name__", "") not in (name.rpartition(".")[2], ""):
        return  # another name of a method
    if not callable(value) and not isinstance(value, property):
        assert "." in name, "a field, which the docstring of its class tells"
        return
    doc = inspect.cleandoc(value.__doc__ or "")
    assert doc, "no docstring"
    if isinstance(value, property) or TWIN.search(doc) or re.search(r"`llmtools\.\w+[(.]", doc):
        return
    kind, _, method = name.partition(".")
    if method and (not set(inspect.signature(value).parameters) - {"self"} or TWIN.search(PUBLIC[kind].__doc__)):
        return  # nothing to be shown beside the example of the class, or of its twin
    ours = [text for place, text in EXAMPLES.items() if place == kind or place.startswith(f"{kind}.")]
    assert name in EXAMPLES or (method and any(f".{method}(" in text for text in ours)), doc


def upper(text: str) -> str:
    """Convert text to uppercase."""
    return text.upper()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples take to be there."""
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "talk.jsonl").write_bytes(LINES)
    (tmp_path / "config.toml").write_text("")
    monkeypatch.setenv("LLMTOOLS_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr("llmtools.library.model_ref._registered", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    model = llmtools.get_model("echo")
    said = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
    response = model.prompt(said, tools=[upper])
    given = {"model": model, "response": response, "call": response.tool_calls()[0], "upper": upper}
    return {"llmtools": llmtools, "asyncio": asyncio, "json": json, **given}


def run(source: str, space: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Run a program; return each line that says its value, with that and what it was."""
    tree = ast.parse(source)
    lines = source.splitlines()
    told = []
    for node in tree.body:
        said = re.search(r"  # (.*)$", lines[node.end_lineno - 1] if node.end_lineno else "")
        value = value_of(node, space)
        if said and isinstance(node, ast.Expr):
            told.append((ast.unparse(node), eval(said[1], {**vars(messages), **space}), value))
    return told


def value_of(node: ast.stmt, space: dict[str, Any]) -> Any:
    source = ast.unparse(node)
    if not isinstance(node, ast.Expr):
        code = compile(source, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    else:
        code = compile(source, "example", "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    value = eval(code, space)
    return finished(value) if inspect.iscoroutine(value) and code.co_flags & inspect.CO_COROUTINE else value


def finished(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, desk: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    source = EXAMPLES[name]
    if name.startswith("Async") or "await" in source or "async" in source:
        desk["model"] = llmtools.get_async_model("echo")
        desk["response"] = desk["model"].prompt("hi")
    for line, expected, value in run(source, desk):
        assert value == expected, line


def test_pydoc_makes_a_page_of_it() -> None:
    page = pydoc.plain(pydoc.render_doc(llmtools))
    assert "conversations with language models" in page
    for name in llmtools.__all__:
        assert re.search(rf"^    (class {name}\(|{name}(\(| = class ))", page, re.MULTILINE), name


FENCES = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PRINTED = [
    b"Capital of France?And of Germany?\nPANDA\n",
    b"hi\nmore Usage(input=3, output=1, details={})\n",
    b"TELL ME OF OTTERS\n['assistant', 'user']\n",
    b'{"type":"message","role":"user","parts":[{"type":"text","text":"hi"}]}\n',
]


@pytest.mark.parametrize(("program", "printed"), list(zip(FENCES, PRINTED, strict=True)))
def test_the_readme_runs(program: str, printed: bytes, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=LINES,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", printed)
