"""Exceptions to exit statuses: how every command runs as a process."""

from __future__ import annotations

import os
import signal
import sys

from ..errors import CancelledError, InternalError, LlmToolsError, OutputError, UsageError, name_options
from .process import Process, StreamFailure, Stuck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    import click


def main(command: click.Command, *, writes_records: bool) -> NoReturn:
    """Run a command as the whole process."""
    import gc

    gc.disable()  # records are trees, and a command is over soon
    name_options()
    process = Process(command.name or "llmtools", writes_records=writes_records)
    try:
        process.handle_signals()
        status = _run(command, process)
    except BrokenPipeError:
        process.die(signal.SIGPIPE)
    except Stuck:
        status = CancelledError.exit_status
    if process.signal is not None:
        process.die(process.signal)
    os._exit(status)


def _run(command: click.Command, process: Process) -> int:
    from click.exceptions import Exit

    try:
        with command.make_context(process.name, _arguments(), obj=process) as context:
            command.invoke(context)
        return process.status
    except Exit as done:
        return done.exit_code
    except StreamFailure as failure:
        process.report(failure.record)
        return failure.record["exit_status"]
    except BrokenPipeError:
        raise
    except Exception as error:
        return _fail(process, error if isinstance(error, LlmToolsError) else _error_for(error, process.name))


def _arguments() -> list[str]:
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(argument).decode(errors="replace")
            raise UsageError(f"the argument {shown!r} is not UTF-8") from None
    return sys.argv[1:]


def _error_for(error: Exception, name: str) -> LlmToolsError:
    """Return the error for an exception of click or of the system; any other is a bug (70)."""
    import click

    if isinstance(error, click.ClickException):
        dashed = isinstance(error, click.NoSuchOption)
        advice = "put a text that begins with - after --" if dashed else f"see {name} --help"
        return UsageError(f"{error.format_message().rstrip('.')} ({advice})")
    if isinstance(error, OSError):
        return OutputError(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    trace(error)
    what = "out of memory" if isinstance(error, MemoryError) else f"a bug: {type(error).__name__}: {error}"
    return InternalError(f"{what} (LLMTOOLS_DEBUG=1 shows where)")


def _fail(process: Process, error: LlmToolsError) -> int:
    """Report an error on stderr and, if the command writes records, on stdout; return the exit status."""
    process.say(error.full_message())
    if process.writes_records and not process.is_terminal(1):
        process.write_error(error)
    return error.exit_status


def trace(error: BaseException) -> None:
    """Write to stderr where an exception comes from, if LLMTOOLS_DEBUG is set."""
    if os.environ.get("LLMTOOLS_DEBUG"):
        import traceback

        traceback.print_exception(error)
