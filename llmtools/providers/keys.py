"""Keys, from where the user keeps them: a file, a descriptor, a variable, a command, the keyring.

Rules:
* The first place that has one counts: what the command line names, the provider's variables,
  its `key_command`, the system keyring. The keyring is asked only when the others have none.
* A key is never an argument, and never more than one line of visible ASCII: it goes into a
  header.
* A key file that others may read is refused, as ssh does with a private key.
"""

from __future__ import annotations

import os
import stat

from ..errors import NoKeyError
from ..http.endpoint import Secret
from . import keychain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .catalogue import Provider

COMMAND_LIMIT = 60.0
"""The seconds that a key_command may take: it may ask a person."""


def secret_of(text: str, source: str) -> Secret:
    """Return a key that was read from `source`. Raises NoKeyError for what is none."""
    key = text.strip()
    if not key:
        raise NoKeyError(f"{source} holds no key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NoKeyError(f"{source} holds no key: a key is one word of visible ASCII")
    return Secret(key)


def from_file(path: str) -> Secret:
    """Return the key in a file. Raises NoKeyError where it cannot be read, is not ours, or
    may be read by others."""
    try:
        with open(path, encoding="utf-8") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode):
                _check_mode(found, path)
            return secret_of(file.read(1 << 16), path)
    except OSError as error:
        raise NoKeyError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoKeyError(f"{path} holds no key: it is not text") from None


def _check_mode(found: os.stat_result, path: str) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (os.geteuid(), 0):
        raise NoKeyError(f"{path} belongs to another user: it is ignored")
    if mode & 0o077:
        raise NoKeyError(f"permissions {mode:04o} for {path} are too open: it is ignored (chmod 600 {path})")


def from_descriptor(descriptor: int) -> Secret:
    """Return the key that a file descriptor holds. Raises NoKeyError."""
    try:
        with open(descriptor, encoding="utf-8") as file:
            return secret_of(file.read(1 << 16), f"descriptor {descriptor}")
    except OSError as error:
        raise NoKeyError(f"descriptor {descriptor}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoKeyError(f"descriptor {descriptor} holds no key: it is not text") from None


def from_variable(name: str) -> Secret:
    """Return the key in an environment variable. Raises NoKeyError."""
    if name not in os.environ:
        raise NoKeyError(f"the variable {name} is not set")
    return secret_of(os.environ[name], f"the variable {name}")


def has_variable(provider: Provider) -> bool:
    """Whether a variable holds a key of the provider's."""
    return any(os.environ.get(variable) for variable in provider.keys)


def find(name: str, provider: Provider, settings: dict[str, Any], *, is_local: bool) -> Secret | None:
    """Return the key of a provider, None where it needs none.

    settings: what the configuration says of it; is_local: whether it runs on this machine,
    where no key need be. Raises NoKeyError.
    """
    found = search(name, provider, settings, is_local=is_local)
    return found[0] if found else None


def search(
    name: str,
    provider: Provider,
    settings: dict[str, Any],
    *,
    is_local: bool,
    waiting: Callable[[], None] | None = None,
) -> tuple[Secret, str] | None:
    """Return the key of a provider and the place it is from, as `find`.

    waiting: tells a person who is there, and who may have to unlock the keyring, that it is
    waited for; without it there is none.
    """
    is_named = "key_env" in settings or "key_command" in settings
    if provider.key == "remote" and is_local and not is_named:
        return None
    for variable in provider.keys:
        if os.environ.get(variable):
            return from_variable(variable), f"variable {variable}"
    if "key_command" in settings:
        return from_command(name, settings["key_command"]), f"key_command {settings['key_command'][0]}"
    is_needed = is_named or (provider.key == "required" and not is_local)
    if not is_needed and name not in keychain.names():
        return None
    return _from_keyring(name, provider, waiting)


def _from_keyring(name: str, provider: Provider, waiting: Callable[[], None] | None) -> tuple[Secret, str]:
    variables = " or ".join(provider.keys[:1])
    set_it = f"set {variables}" if variables else f"name a key_env under [providers.{name}]"
    try:
        found = keychain.get(name, waiting)
    except keychain.Unusable as error:
        raise NoKeyError(f"no key for {name}: {error}; {set_it}, or give llm-send a --key-file") from None
    if found is None:
        raise NoKeyError(f"no key for {name}: {set_it}, or keep one in the keyring: llm-keys set {name}")
    return secret_of(found[0], f"the keyring, for {name},"), f"keyring {found[1]}"


def from_command(name: str, command: list[str]) -> Secret:
    """Return what a key_command prints. Raises NoKeyError."""
    import subprocess

    shown = f"the key_command of {name} ({command[0]})"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoKeyError(f"{shown} took longer than {COMMAND_LIMIT:g} s") from None
    except (OSError, ValueError) as error:
        raise NoKeyError(f"{shown}: {getattr(error, 'strerror', None) or error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        how = f"status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        raise NoKeyError(f"{shown} failed with {how}" + (f": {said[-1][:300]}" if said else ""))
    try:
        return secret_of(done.stdout.decode(), shown)
    except UnicodeDecodeError:
        raise NoKeyError(f"{shown} printed no key: it is not text") from None
