from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harness import Shell
from support.large import SIZE
from support.paths import TESTS
from support.signals import make_fresh

make_fresh()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run the commands: tests/run --fast leaves them out."""
    for item in items:
        if "shell" in getattr(item, "fixturenames", ()) or item.path.is_relative_to(TESTS / "pipes"):
            item.add_marker(pytest.mark.process)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream of one line, of 100 megabytes."""
    path = tmp_path_factory.mktemp("huge") / "huge.jsonl"
    head = '{"type":"message","role":"user","parts":[{"type":"attachment","attachment":{"type":"image/png","content":"'
    with path.open("w") as file:
        file.write(head + "QUFB" * (SIZE // 4) + '"}},{"type":"text","text":"hi"}]}\n')
    return path
