"""The system keyring, asked in a process of its own.

Rules:
* Whatever a backend does (hang, print, crash, grab the terminal, run programs), it does in a
  process that is killed with all it started when the time is over.
* The backend is the one that the user configured (PYTHON_KEYRING_BACKEND, keyringrc.cfg), else
  the one with which a key was kept, else the best that works here. Backends of other systems
  are not loaded: on their way to fail they run a C compiler.
* What is kept where is remembered in `keyring.json`, names only: keyrings list nothing.
* A key goes to the process through a pipe, and comes back through one.
"""

from __future__ import annotations

import os
import sys

from ..errors import InputError
from ..paths import data_folder, lock_folder, write_file
from ..records.jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

SERVICE = "llmtools"
WAIT = 1.5
"""The seconds in which a keyring must answer; with what else is to be done, not more than two."""
ATTENDED_WAIT = 60.0
"""The seconds for a person to unlock it."""

_ABROAD = {"macOS": "darwin", "Windows": "win32"}
"""The backends that can work on one system only."""
_NONE = ("keyring.backends.fail", "keyring.backends.null", "keyring.backends.chainer")


class Unusable(Exception):
    """The keyring cannot be used: why, in words that can follow a colon."""


# What is kept where


def _index() -> Path:
    return data_folder() / "keyring.json"


def remembered() -> dict[str, str]:
    """Return the names under which keys are kept, each with its backend."""
    try:
        said = loads(_index().read_bytes())
    except (OSError, InputError):
        return {}
    names = said.get("names") if isinstance(said, dict) else None
    return {str(name): str(backend) for name, backend in names.items()} if isinstance(names, dict) else {}


def names() -> list[str]:
    """Return the names under which keys are kept."""
    return sorted(remembered())


def _remember(name: str, backend: str | None) -> None:
    path = _index()
    with lock_folder(path.parent):
        kept = {**remembered(), name: backend}
        write_file(path, dumps({"names": {name: kept[name] for name in sorted(kept) if kept[name]}}) + b"\n")


# What is asked of it


def get(name: str, waiting: Callable[[], None] | None = None) -> tuple[str, str] | None:
    """Return the key kept under a name and the backend that has it, None where there is none.

    waiting: see `_run`. Raises Unusable.
    """
    answer = _ask("get", name, None, waiting)
    return None if answer.get("value") is None else (answer["value"], answer["backend"])


def put(name: str, secret: str, waiting: Callable[[], None] | None = None) -> str:
    """Keep a key under a name; return the backend that has it. Raises Unusable."""
    answer = _ask("set", name, secret, waiting)
    if answer.get("value") != secret:
        raise Unusable(f"the keyring ({answer['backend']}) keeps nothing")
    _remember(name, answer["backend"])
    return str(answer["backend"])


def remove(name: str, waiting: Callable[[], None] | None = None) -> bool:
    """Take the key kept under a name away; return whether there was one. Raises Unusable."""
    was_there = bool(_ask("delete", name, None, waiting).get("value"))
    if name in remembered():
        _remember(name, None)
    return was_there


def _ask(action: str, name: str, secret: str | None, waiting: Callable[[], None] | None) -> dict[str, Any]:
    """Have a process do it; return what it says. Raises Unusable."""
    known = remembered()
    backend = known.get(name) or next(iter(known.values()), None)
    out = _run(name, dumps([action, name, backend, secret]), waiting)
    try:
        answer: dict[str, Any] = loads(out)
    except InputError:
        answer = {}
    if "backend" not in answer:
        said = str(answer.get("error") or "the keyring failed")
        raise Unusable(said.replace(secret, "***") if secret and len(secret) > 7 else said)
    return answer


def _run(name: str, asked: bytes, waiting: Callable[[], None] | None) -> bytes:
    """Return what the process answers; `waiting` tells a person that it takes long, who then
    has time to unlock the keyring. Raises Unusable."""
    import signal
    from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

    # A program that asks on a terminal at which nobody sits hangs there.
    kept = {key: value for key, value in os.environ.items() if key != "GPG_TTY" or waiting is not None}
    command = [sys.executable, "-P", "-m", __name__]
    try:
        process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=kept, start_new_session=True)
    except OSError as error:
        raise Unusable(f"the keyring cannot be asked: {error.strerror}") from None
    try:
        try:
            return process.communicate(asked, timeout=WAIT)[0]
        except TimeoutExpired:
            if waiting is None:
                raise
        waiting()
        return process.communicate(timeout=ATTENDED_WAIT)[0]
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()
        if not isinstance(error, TimeoutExpired):
            raise
        advice = f" (llm-keys which {name}, at a terminal, waits longer)" if waiting is None else ""
        raise Unusable(f"the keyring did not answer within {error.timeout:g} s{advice}") from None


# The process


def main() -> None:
    """Do what stdin asks, answer on stdout; the words of backends go nowhere."""
    answers = os.dup(1)
    os.dup2(2, 1)
    action, name, backend, secret = loads(sys.stdin.buffer.read())
    try:
        said = _done(_backend(backend), action, name, secret)
    except BaseException as error:
        said = {"error": _told(error, name)}
    with open(answers, "wb") as file:
        file.write(dumps(said))
    os._exit(0)


def _done(keyring: Any, action: str, name: str, secret: str | None) -> dict[str, Any]:
    value: Any = None
    if action == "delete":
        value = keyring.get_password(SERVICE, name) is not None
        if value:
            keyring.delete_password(SERVICE, name)
    else:
        if action == "set":
            keyring.set_password(SERVICE, name, secret)
        value = keyring.get_password(SERVICE, name)
    return {"value": value, "backend": f"{type(keyring).__module__}.{type(keyring).__qualname__}"}


def _backend(remembered: str | None) -> Any:
    """Return the backend: configured, remembered, or the best of those that work here."""
    from keyring import core

    if remembered is None or remembered.startswith(_NONE):
        return core.load_env() or core.load_config() or _detected()
    return core.load_env() or core.load_config() or core.load_keyring(remembered)


def _detected() -> Any:
    from importlib.metadata import entry_points

    from keyring.backend import KeyringBackend
    from keyring.errors import NoKeyringError

    for point in entry_points(group="keyring.backends"):
        if _ABROAD.get(point.name, sys.platform) == sys.platform:
            try:
                begin = point.load()
                if callable(begin):
                    begin()
            except Exception:  # noqa: S112  one that cannot be loaded is none
                continue
    viable = [kind for kind in KeyringBackend.get_viable_backends() if not kind.__module__.startswith(_NONE)]
    if not viable:
        raise NoKeyringError
    return max(viable, key=lambda kind: kind.priority)()


def _told(error: BaseException, name: str) -> str:
    """Return what an exception of a backend means, in one line."""
    kind = type(error).__name__
    if kind == "NoKeyringError":
        return "no keyring can be used here (cron, ssh and containers have none)"
    if kind == "KeyringLocked":
        return f"the keyring is locked (llm-keys which {name}, on a desktop, has it unlocked)"
    if kind == "CalledProcessError":  # of pass and the like; what else it says may be secret
        command, status = getattr(error, "cmd", "?"), getattr(error, "returncode", "?")
        program = command[0] if isinstance(command, list) and command else "its program"
        return f"the keyring is locked, or failed ({program} ended with status {status})"
    if isinstance(error, ImportError):
        return f"the keyring that is configured cannot be loaded ({error})"
    what = "cannot be reached" if isinstance(error, (OSError, RuntimeError)) else "failed"
    lines = str(error).strip().splitlines()
    return f"the keyring {what} ({kind}: {lines[0][:300]})" if lines else f"the keyring {what} ({kind})"


if __name__ == "__main__":
    main()
