"""The completions: current, and right in each shell that is here. No process may be started
on Tab: the shells run with nothing on PATH."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from support import completion_scripts

COMMANDS = sorted(completion_scripts.commands())
CASES = [
    ("llm-msg us", {"user"}),
    ("llm-msg ", {"user", "system", "assistant", "tool"}),
    ("llm-msg -q to", {"tool"}),
    ("llm-msg user ", set()),
    ("llm-msg user -a ph", {"photo 1.jpg"}),
    ("llm-msg --col", {"--color"}),
    ("llm-msg user --color a", {"auto", "always"}),
    ("llm-msg user -- --col", set()),
    ("llm-send -m e", {"echo"}),
    ("llm-send --no-", {"--no-events", "--no-log", "--no-stdin", "--no-stream"}),
    ("llm-send --model replay/ta", {"replay/talk.jsonl"}),
    ("llm-send --save ta", {"talk.jsonl"}),
    ("llm-send --wait ", set()),
    ("llm-parts --type rea", {"reasoning"}),
    ("llm-parts -t text,rea", {"text,reasoning"}),
    ("llm-parts --save o", {"out"}),
    ("llm-parts -x --xl --us", {"--usage"}),
]


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("photo 1.jpg", "talk.jsonl", "other.txt"):
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    return tmp_path


def run(folder: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "", done.stderr
    assert done.returncode == 0
    return done.stdout


def test_the_files_are_current() -> None:
    assert completion_scripts.stale() == [], "run: python tests/completions.py --write"


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash(line: str, expected: set[str], folder: Path) -> None:
    name, *words = line.split(" ")
    script = f"""
        source {completion_scripts.FOLDER}/bash/{name}
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _{name.replace("-", "_")} {name} "${{@: -1}}" "${{@: -2:1}}"
        [[ -z ${{COMPREPLY+set}} ]] || printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p {name} >&3
    """
    quiet = f"compopt() {{ :; }}; exec 3>/dev/null\n{script}"  # compopt works in a running completion only
    out = run(folder, shell("bash"), "--norc", "-u", "-c", quiet, "bash", name, *words)
    assert set(out.splitlines()) == expected


def test_bash_splits_an_option_at_its_equals_sign(folder: Path) -> None:
    script = f"""
        source {completion_scripts.FOLDER}/bash/llm-parts
        COMP_WORDS=(llm-parts --color = n) COMP_CWORD=3
        _llm_parts && printf '%s\\n' "${{COMPREPLY[@]}}"
        COMP_WORDS=(llm-parts --color =) COMP_CWORD=2
        _llm_parts && printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    out = run(folder, shell("bash"), "--norc", "-u", "-c", script)
    assert out.splitlines() == ["never", "auto", "always", "never"]


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_fish(line: str, expected: set[str], folder: Path) -> None:
    name = line.partition(" ")[0]
    script = f'source {completion_scripts.FOLDER}/fish/{name}.fish; complete -C "{line}"'
    out = run(folder, shell("fish"), "--no-config", "-c", script)
    found = {entry.partition("\t")[0].rstrip("/") for entry in out.splitlines()}
    assert found == expected


ZSHRC = r"""
PS1='READY> '
unset zle_bracketed_paste
fpath=({folder} $fpath)
autoload -U compinit
compinit -u -D
complete-and-leave() {{ zle complete-word; print -r -- "$BUFFER" >line; exit }}
zle -N complete-and-leave
bindkey '^I' complete-and-leave
"""


def read(terminal: int) -> bytes:
    assert select.select([terminal], [], [], 30)[0], "zsh hangs"
    return os.read(terminal, 4096)


def type_into_zsh(line: str, folder: Path) -> str:
    """Type a line and Tab into a zsh on a terminal of its own; return what becomes of the line."""
    (folder / ".zshrc").write_text(ZSHRC.format(folder=completion_scripts.FOLDER / "zsh"))
    terminal, other = pty.openpty()
    zsh = subprocess.Popen(
        [shell("zsh"), "-i", "--no-global-rcs"],
        cwd=folder,
        env={"HOME": str(folder), "PATH": "", "TERM": "xterm"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    try:
        said = b""
        while b"READY" not in said:
            said += read(terminal)
        os.write(terminal, line.encode() + b"\t")
        while read(terminal):
            pass
    except OSError:  # its end of the terminal is closed
        pass
    finally:
        zsh.kill()
        zsh.wait(60)
        os.close(terminal)
    return (folder / "line").read_text().rstrip("\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llm-msg us", "llm-msg user "),
        ("llm-msg user -a ph", "llm-msg user -a photo\\ 1.jpg "),
        ("llm-msg user --color=al", "llm-msg user --color=always "),
        ("llm-send -m ec", "llm-send -m echo "),
        ("llm-send --model=replay/ta", "llm-send --model=replay/talk.jsonl "),
        ("llm-send -o temperature 0 --no-e", "llm-send -o temperature 0 --no-events "),
        ("llm-parts -t text,rea", "llm-parts -t text,reasoning,"),  # a space takes the comma back
        ("llm-parts --save o", "llm-parts --save out/"),
        ("llm-parts -x --xl --us", "llm-parts -x --xl --usage "),
    ],
)
def test_zsh(line: str, expected: str, folder: Path) -> None:
    assert type_into_zsh(line, folder) == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_the_files_are_good_syntax(name: str, folder: Path) -> None:
    paths = {"bash": f"bash/{name}", "zsh": f"zsh/_{name}", "fish": f"fish/{name}.fish"}
    for program, path in paths.items():
        found = shutil.which(program)
        if found is not None:
            run(folder, found, "-n", str(completion_scripts.FOLDER / path))
