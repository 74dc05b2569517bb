"""Which signals the tests, and what they start, come to life with."""

from __future__ import annotations

import os
import signal


def make_fresh() -> None:
    """Have everything that we start begin with the signals of a fresh shell.

    A script's background job has SIGINT and SIGQUIT ignored, what nohup starts SIGHUP; and what
    is ignored stays so in every child. A command that is sent such a signal goes on for ever
    then, and so does the test. What is handled, if only by doing nothing, is not ignored in a
    child: so nohup still holds for us. SIGPIPE is left as it is: Python ignores it always, and
    `subprocess` gives it back to what it starts.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)
    if "PYTEST_XDIST_WORKER" in os.environ:  # it ends with the process that started it
        signal.signal(signal.SIGHUP, _do_nothing)


def _do_nothing(*_: object) -> None:
    pass
