"""What importlinter.ini cannot say: one protocol never imports another, though the files of one do.

The files of a protocol are NAME.py and NAME_*.py.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import llmtools

FOLDER = Path(llmtools.__file__).parent / "protocols"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def protocol_of(module: str) -> str:
    """The shortest name of a file that the module's name begins with."""
    return min((name for name in MODULES if f"{module}_".startswith(f"{name}_")), key=len)


def imported(source: str) -> set[str]:
    """Return the modules of this folder that a source in it imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            path = (node.module or "").split(".")
            found.update(path, names)
        elif isinstance(node, ast.Import):
            found.update(part for alias in node.names for part in alias.name.split("."))
    return found & set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_protocol_imports_no_other(module: str) -> None:
    source = (FOLDER / f"{module}.py").read_text("utf-8")
    assert {protocol_of(name) for name in imported(source)} <= {protocol_of(module)}


@pytest.mark.parametrize(
    "source",
    ["from . import echo", "from .echo import reply", "from ..protocols import echo", "import llmtools.protocols.echo"],
)
def test_every_way_of_importing_is_seen(source: str) -> None:
    assert imported(source) == {"echo"}
