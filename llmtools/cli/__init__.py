"""The executables: one file each, and what they share. Here is where they begin.

Until a command has its own handlers, a Ctrl-C ends it without a word: the default of
Python is a traceback from the midst of an import.
"""

from __future__ import annotations


def _begin() -> None:
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def llm_msg() -> None:
    """Run llm-msg."""
    _begin()
    from .msg.command import run

    run()


def llm_send() -> None:
    """Run llm-send."""
    _begin()
    from .send.command import run

    run()


def llm_parts() -> None:
    """Run llm-parts."""
    _begin()
    from .parts.command import run

    run()


def llm_keys() -> None:
    """Run llm-keys."""
    _begin()
    from .keys import run

    run()


def llm_models() -> None:
    """Run llm-models."""
    _begin()
    from .models import run

    run()


def llm_tools() -> None:
    """Run llm-tools."""
    _begin()
    from .tools.command import run

    run()


def llm_log() -> None:
    """Run llm-log."""
    _begin()
    from .log.command import run

    run()
