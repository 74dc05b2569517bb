"""What is built: a wheel that works without the dev group, and an sdist that it can be made of."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from llmtools import __version__
from support import completion_scripts
from support.harness import LIMIT
from support.paths import ROOT

PAGES = [path.name for path in (ROOT / "man").iterdir()]
SHARED = {
    *(f"man/man{name[-1]}/{name}" for name in PAGES),
    *(f"bash-completion/completions/{name}" for name in completion_scripts.commands()),
    *(f"fish/vendor_completions.d/{name}.fish" for name in completion_scripts.commands()),
    *(f"zsh/site-functions/_{name}" for name in completion_scripts.commands()),
}
RECORD = f"llm_pipes-{__version__}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=LIMIT)
    return folder


def test_the_wheel_holds_the_package_its_pages_and_completions(built: Path) -> None:
    with zipfile.ZipFile(built / f"{RECORD}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    shared = f"{RECORD}.data/data/share/"
    assert {name.removeprefix(shared) for name in names if name.startswith(shared)} == SHARED
    assert {"llmtools/py.typed", "llmtools/records/stream.schema.json", "llmtools/cli/msg/command.py"} <= names
    assert f"{RECORD}.dist-info/licenses/LICENSE" in names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"llmtools", f"{RECORD}.data", f"{RECORD}.dist-info"}


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    with tarfile.open(built / f"{RECORD}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    top = {"pyproject.toml", "PKG-INFO", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"}
    assert {name for name in names if "/" not in name} == top
    assert {f"man/{name}" for name in PAGES} <= names
    assert {"tests/run", "tests/importlinter.ini", "tests/support/harness.py", "llmtools/__init__.py"} <= names


@pytest.mark.slow
def test_the_wheel_works_without_the_dev_group(built: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=LIMIT)
    pip = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", str(built / f"{RECORD}-py3-none-any.whl")], check=True, timeout=4 * LIMIT)
    listing = [*pip, "list", "--format", "freeze"]
    listed = subprocess.run(listing, check=True, capture_output=True, text=True, timeout=LIMIT).stdout
    assert "pytest" not in listed and "hypothesis" not in listed
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"}
    pipe = "set -o pipefail; llm-msg user hi | llm-send -m echo | llm-parts --type text"
    done = subprocess.run(
        ["bash", "-c", pipe], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")
    share = tmp_path / "venv" / "share"
    assert {name for name in SHARED if not (share / name).is_file()} == set()
