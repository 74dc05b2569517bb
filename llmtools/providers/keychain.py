"""The system keyring, used in a child process.

Rules:
* A backend may hang, print, crash, read from the terminal or start programs. It does so in a
  process that is killed, with everything it started, when its time is over.
* The backend is the configured one (PYTHON_KEYRING_BACKEND, keyringrc.cfg), or the one that stored
  the other keys, or the best that works on this machine. Backends of other systems are not
  loaded: before they fail, they run a C compiler.
* `keyring.json` has the names of the stored keys, and no keys, as a keyring cannot list them.
* Keys go to the process and come back through pipes.
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
KEYRING_TIMEOUT = 1.5
"""The seconds for a keyring to answer; with the rest of a command, that stays below two seconds."""
UNLOCK_TIMEOUT = 60.0
"""The seconds for the user to unlock it."""

_PLATFORMS = {"macOS": "darwin", "Windows": "win32"}
"""The platforms of the backends that work on one platform only."""
_UNUSABLE = ("keyring.backends.fail", "keyring.backends.null", "keyring.backends.chainer")


class KeyringError(Exception):
    """The keyring cannot be used; the text says why, and can follow a colon."""


# The names of the stored keys


def _index_path() -> Path:
    return data_folder() / "keyring.json"


def read_index() -> dict[str, str]:
    """Return the names of the stored keys, each with the backend that has it."""
    try:
        content = loads(_index_path().read_bytes())
    except (OSError, InputError):
        return {}
    names = content.get("names") if isinstance(content, dict) else None
    return {str(name): str(backend) for name, backend in names.items()} if isinstance(names, dict) else {}


def key_names() -> list[str]:
    """Return the names of the stored keys."""
    return sorted(read_index())


def _write_index(name: str, backend: str | None) -> None:
    """Add a name to the index, or remove it if `backend` is None."""
    path = _index_path()
    with lock_folder(path.parent):
        names = {**read_index(), name: backend}
        write_file(path, dumps({"names": {name: names[name] for name in sorted(names) if names[name]}}) + b"\n")


# Requests to the process


def get_key(name: str, on_wait: Callable[[], None] | None = None) -> tuple[str, str] | None:
    """Return the key of a name and the backend that has it, None if there is none.

    on_wait: called when the keyring is slow, to ask the user to unlock it; the keyring then has
    `UNLOCK_TIMEOUT` to answer. None: nobody is at the terminal. Raises KeyringError.
    """
    answer = _request("get", name, None, on_wait)
    return None if answer.get("value") is None else (answer["value"], answer["backend"])


def store_key(name: str, secret: str, on_wait: Callable[[], None] | None = None) -> str:
    """Store a key under a name; return the backend that has it. `on_wait`: as for `get_key`. Raises KeyringError."""
    answer = _request("set", name, secret, on_wait)
    if answer.get("value") != secret:
        raise KeyringError(f"the keyring ({answer['backend']}) does not keep keys")
    _write_index(name, answer["backend"])
    return str(answer["backend"])


def delete_key(name: str, on_wait: Callable[[], None] | None = None) -> bool:
    """Delete the key of a name; return whether there was one. `on_wait`: as for `get_key`. Raises KeyringError."""
    was_stored = bool(_request("delete", name, None, on_wait).get("value"))
    if name in read_index():
        _write_index(name, None)
    return was_stored


def _request(action: str, name: str, secret: str | None, on_wait: Callable[[], None] | None) -> dict[str, Any]:
    """Run an action in a process; return its answer, {"value", "backend"}. Raises KeyringError."""
    index = read_index()
    backend = index.get(name) or next(iter(index.values()), None)
    output = _run_process(name, dumps([action, name, backend, secret]), on_wait)
    try:
        answer: dict[str, Any] = loads(output)
    except InputError:
        answer = {}
    if "backend" not in answer:
        reason = str(answer.get("error") or "the keyring failed")
        raise KeyringError(reason.replace(secret, "***") if secret and len(secret) > 7 else reason)
    return answer


def _run_process(name: str, request: bytes, on_wait: Callable[[], None] | None) -> bytes:
    """Return what the process writes to stdout. Raises KeyringError."""
    import signal
    from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

    # without GPG_TTY, gpg does not ask for a passphrase on a terminal at which nobody is
    env = {key: value for key, value in os.environ.items() if key != "GPG_TTY" or on_wait is not None}
    command = [sys.executable, "-P", "-m", __name__]
    try:
        process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=env, start_new_session=True)
    except OSError as error:
        raise KeyringError(f"the keyring cannot be asked: {error.strerror}") from None
    try:
        try:
            return process.communicate(request, timeout=KEYRING_TIMEOUT)[0]
        except TimeoutExpired:
            if on_wait is None:
                raise
        on_wait()
        return process.communicate(timeout=UNLOCK_TIMEOUT)[0]
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()
        if not isinstance(error, TimeoutExpired):
            raise
        advice = f" (llm-keys which {name}, at a terminal, waits longer)" if on_wait is None else ""
        raise KeyringError(f"the keyring did not answer within {error.timeout:g} s{advice}") from None


# The process


def main() -> None:
    """Read a request from stdin and write the answer to stdout. The output of backends is discarded."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    action, name, backend, secret = loads(sys.stdin.buffer.read())
    try:
        answer = _perform(_load_backend(backend), action, name, secret)
    except BaseException as error:
        answer = {"error": _describe_error(error, name)}
    with open(stdout, "wb") as file:
        file.write(dumps(answer))
    os._exit(0)


def _perform(keyring: Any, action: str, name: str, secret: str | None) -> dict[str, Any]:
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


def _load_backend(previous: str | None) -> Any:
    """Return the backend: the configured one, or the previous one, or the best that works."""
    from keyring import core

    if previous is None or previous.startswith(_UNUSABLE):
        return core.load_env() or core.load_config() or _best_backend()
    return core.load_env() or core.load_config() or core.load_keyring(previous)


def _best_backend() -> Any:
    from importlib.metadata import entry_points

    from keyring.backend import KeyringBackend
    from keyring.errors import NoKeyringError

    for point in entry_points(group="keyring.backends"):
        if _PLATFORMS.get(point.name, sys.platform) == sys.platform:
            try:
                initialize = point.load()
                if callable(initialize):
                    initialize()
            except Exception:  # noqa: S112  a backend that cannot be loaded is left out
                continue
    viable = [
        backend for backend in KeyringBackend.get_viable_backends() if not backend.__module__.startswith(_UNUSABLE)
    ]
    if not viable:
        raise NoKeyringError
    return max(viable, key=lambda backend: backend.priority)()


def _describe_error(error: BaseException, name: str) -> str:
    """Return a line for an exception of a backend."""
    kind = type(error).__name__
    if kind == "NoKeyringError":
        return "no keyring can be used here (cron, ssh and containers have none)"
    if kind == "KeyringLocked":
        return f"the keyring is locked (llm-keys which {name}, on a desktop, unlocks it)"
    if kind == "CalledProcessError":  # of pass and the like; its other texts may have secrets
        command, status = getattr(error, "cmd", "?"), getattr(error, "returncode", "?")
        program = command[0] if isinstance(command, list) and command else "its program"
        return f"the keyring is locked, or failed ({program} ended with status {status})"
    if isinstance(error, ImportError):
        return f"the configured keyring cannot be loaded ({error})"
    what = "cannot be reached" if isinstance(error, (OSError, RuntimeError)) else "failed"
    lines = str(error).strip().splitlines()
    return f"the keyring {what} ({kind}: {lines[0][:300]})" if lines else f"the keyring {what} ({kind})"


if __name__ == "__main__":
    main()
