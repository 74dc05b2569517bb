"""Keys, from where the user keeps them: a file, a descriptor, a variable.

Rules:
* A key is never an argument, and never more than one line of visible ASCII: it goes into a
  header.
* A key file that others may read is refused, as ssh does with a private key.
"""

from __future__ import annotations

import os
import stat

from .errors import NoKeyError
from .request import Secret


def _secret(text: str, source: str) -> Secret:
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
            return _secret(file.read(1 << 16), path)
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
            return _secret(file.read(1 << 16), f"descriptor {descriptor}")
    except OSError as error:
        raise NoKeyError(f"descriptor {descriptor}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoKeyError(f"descriptor {descriptor} holds no key: it is not text") from None


def from_variable(name: str) -> Secret:
    """Return the key in an environment variable. Raises NoKeyError."""
    if name not in os.environ:
        raise NoKeyError(f"the variable {name} is not set")
    return _secret(os.environ[name], f"the variable {name}")
