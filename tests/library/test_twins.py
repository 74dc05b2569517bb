"""`sync` and `aio`, and the two loops of `drive`, are the same code but for the waiting.

Both are read as syntax trees; from the awaited one everything that is only asyncio's is taken away.
What is left must be equal, so that neither can drift.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import llmtools

FOLDER = Path(llmtools.__file__).parent
FILES = {name: FOLDER / path for name, path in (("sync", "library/sync.py"), ("aio", "library/aio.py"))}
STEPS = FOLDER / "library" / "steps.py"
DRIVE = FOLDER / "exchange" / "drive.py"
TRANSPORT = FOLDER / "http" / "transport.py"

PAIRS = [
    (FILES["sync"], "Response", FILES["aio"], "AsyncResponse"),
    (FILES["sync"], "Chain", FILES["aio"], "AsyncChain"),
    (FILES["sync"], "Talk", FILES["aio"], "AsyncTalk"),
    (FILES["sync"], "Model", FILES["aio"], "AsyncModel"),
    (FILES["sync"], "KeyModel", FILES["aio"], "AsyncKeyModel"),
    (FILES["sync"], "get_models", FILES["aio"], "get_async_models"),
    (STEPS, "Steps", STEPS, "AsyncSteps"),
    (FILES["sync"], "get_model", FILES["aio"], "get_async_model"),
    (DRIVE, "drive", DRIVE, "adrive"),
    (TRANSPORT, "Connection", TRANSPORT, "AsyncConnection"),
]
NAMES = {
    "AsyncIterator": "Iterator",
    "AsyncGenerator": "Generator",
    "StopAsyncIteration": "StopIteration",
    "Lock": "RLock",
    "__anext__": "__next__",
    "__aiter__": "__iter__",
    "_async_connection": "_connection",
    "_require_end": "wait",
    "abatches": "batches",
    "aclose": "close",
    "adrive": "drive",
    "aiter_raw": "iter_raw",
    "anext": "next",
    "arun": "run",
    "astream_events": "stream_events",
    "get_async_model": "get_model",
    "get_async_models": "get_models",
    "prepare_async": "prepare",
}
"""Name of the awaited half -> name of the other."""

ONLY = {"__str__", "__await__", "_require_end", "_when_read"}
"""What only one half has: asyncio cannot wait in str() or in a property, and `await response` waits."""

ATTRIBUTES = {"is_async", "_not_read"}
"""Attributes of a class that name the half."""

SAME = {"await_if_needed", "run_without_waiting"}
"""Calls that give what their argument gives."""


class Blocking(ast.NodeTransformer):
    """Takes away what is only asyncio's, and what says nothing here: docstrings and imports."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        value: ast.AST = self.visit(node.value)
        return value

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST | None:
        fields = {name: value for name, value in ast.iter_fields(node)}
        return self.visit_FunctionDef(ast.FunctionDef(**fields))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if node.name in ONLY:
            return None
        node.name = NAMES.get(node.name, node.name)
        node.decorator_list = [each for each in node.decorator_list if ast.unparse(each) != "plain_when_done"]
        if node.name == "drive":
            node.args = ast.parse("lambda source: 0", mode="eval").body.args  # type: ignore[attr-defined]
        return self._body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._body(node)

    def _body(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        self.generic_visit(node)
        node.returns = None if isinstance(node, ast.FunctionDef) else node.returns if hasattr(node, "returns") else None  # type: ignore[union-attr]
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.visit_For(ast.For(**dict(ast.iter_fields(node))))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.With(**dict(ast.iter_fields(node))))

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        inner = node.body[0]
        is_handed_on = isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Yield)
        if is_handed_on and ast.unparse(inner) == f"yield {ast.unparse(node.target)}":
            return ast.Expr(ast.YieldFrom(node.iter))  # which a coroutine cannot say
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        self.generic_visit(node)
        first = node.generators[0]
        is_handed_on = ast.unparse(node.elt) == ast.unparse(first.target) and not first.ifs
        return first.iter if is_handed_on and len(node.generators) == 1 else node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if ast.unparse(node.targets[0]) in ATTRIBUTES else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = NAMES.get(node.id, node.id)
        return ast.Name(name.removeprefix("Async"), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = NAMES.get(node.attr, node.attr).removeprefix("Async")
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in SAME:
            return node.args[0]
        if name == "to_thread":
            return ast.Call(node.args[0], node.args[1:], node.keywords)
        return node


def tree_of(path: Path, name: str) -> ast.AST:
    module = ast.parse(path.read_text("utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return next(node for node in module.body if isinstance(node, kinds) and node.name == name)


def blocking(path: Path, name: str) -> str:
    tree = Blocking().visit(tree_of(path, name))
    tree.name = "twin"
    text = ast.unparse(ast.fix_missing_locations(tree))
    return text.replace(", sleep: Callable[[float], object]=time.sleep", "")


@pytest.mark.parametrize(
    ("path", "name", "twin_path", "twin_name"), PAIRS, ids=lambda value: getattr(value, "stem", value)
)
def test_the_twins_differ_only_in_how_they_wait(path: Path, name: str, twin_path: Path, twin_name: str) -> None:
    assert blocking(path, name) == blocking(twin_path, twin_name)


def test_every_public_class_of_the_two_files_has_its_twin() -> None:
    named = {(path, name) for pair in PAIRS for path, name in (pair[:2], pair[2:])}
    for path in FILES.values():
        module = ast.parse(path.read_text("utf-8"))
        names = {node.name for node in module.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        assert {(path, name) for name in names} <= named


def test_a_drift_is_seen(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("class A:\n    def f(self):\n        self.wait()\n        return self.x\n")
    other.write_text("class A:\n    async def f(self):\n        await self.wait()\n        return self.x\n")
    assert blocking(one, "A") == blocking(other, "A")
    other.write_text("class A:\n    async def f(self):\n        return self.x\n")
    assert blocking(one, "A") != blocking(other, "A")
