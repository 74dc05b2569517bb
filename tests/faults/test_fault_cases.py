"""Each file of `cases`, and the table of the promises: every statement has its tests, and every test is there.

A new case is a new file; `support.fault_cases` says what may be in it.
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

from support.fault_cases import Case, expected_of, read_case, run_case
from support.harness import Shell
from support.paths import TESTS

FOLDER = Path(__file__).parent
CASES = [read_case(path) for path in sorted((FOLDER / "cases").glob("*.toml"))]
STATEMENTS = tomllib.loads((FOLDER / "statements.toml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_ends_as_it_says(case: Case, shell: Shell) -> None:
    assert run_case(case, shell) == expected_of(case), case.title


def test_every_statement_has_its_tests() -> None:
    assert [int(number) for number in STATEMENTS] == list(range(1, 43))
    for number, statement in STATEMENTS.items():
        assert statement["promise"]
        missing = [name for name in statement["tests"] if not _is_there(name)]
        assert not missing, f"statement {number}"
        assert statement["tests"] or any(case.statement == int(number) for case in CASES)


def test_every_case_is_of_a_statement() -> None:
    assert {str(case.statement) for case in CASES} <= STATEMENTS.keys()
    assert len({case.title for case in CASES}) == len(CASES)


def _is_there(name: str) -> bool:
    """Whether a test is there: `PATH::TEST`, the path from the folder of the tests."""
    path, _, test = name.partition("::")
    return test in _tests_in(path)


@cache
def _tests_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
