"""What all commands have in common: how they parse options, and the options that each has."""

from __future__ import annotations

import os

import click

from .. import __version__
from ..errors import ConfigError
from .process import STDIN_WAIT, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Option(click.Option):
    """An option whose help has no range of numbers such as [x>=0]: its sentence says it."""

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what click adds to the help, without the range."""
        extra: Any = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Command(click.Command):
    """A command whose help begins with examples, and whose usage errors are one line."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "add_help_option": False})
        self.examples = examples

    def make_parser(self, ctx: click.Context) -> Any:
        """Make click find a short option at once. It looks for a long option of that name first, and a
        failed look-up imports difflib and locale."""
        parser = super().make_parser(ctx)
        parser._long_opt.update(parser._short_opt)
        return parser

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what click writes."""
        with formatter.section("Examples"):
            for line in self.examples.strip().splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line.strip()}\n")
        formatter.write("\n")
        super().format_help(ctx, formatter)


def _help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.write((ctx.get_help() + "\n").encode())
        ctx.exit()


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.write(f"{ctx.obj.name} {__version__}\n".encode())
        ctx.exit()


def _quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.obj.quiet = value


def _verbose(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.obj.verbose = value


class Seconds(click.FloatRange):
    """A number of seconds: finite. `nan` is neither above nor below a limit."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        seconds: float = super().convert(value, param, ctx)
        if seconds - seconds != 0:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


SECONDS = Seconds(min=0, min_open=True)


def _wait(ctx: click.Context, param: click.Parameter, value: float | None) -> float:
    if value is not None:
        return value
    text = os.environ.get("LLMTOOLS_WAIT")
    try:
        return STDIN_WAIT if not text else max(Seconds().convert(text, None, None), 0)
    except click.UsageError:
        raise ConfigError(f"LLMTOOLS_WAIT={text!r} is not a number of seconds") from None


def option(*names: str, **settings: Any) -> Decorator:
    """Return an option with a value."""
    return click.option(*names, cls=Option, **settings)


def flag(*names: str, help: str, **kwargs: Any) -> Decorator:
    """Return an option without a value."""
    return click.option(*names, is_flag=True, help=help, **kwargs)


def shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has."""
    hidden: dict[str, Any] = {"expose_value": False, "is_eager": True}
    for decorator in (
        flag("-h", "--help", help="Print how to use this command, and exit.", callback=_help, **hidden),
        flag("--version", help="Print the name and version, and exit.", callback=_version, **hidden),
        flag("-v", "--verbose", help="Print more on stderr, such as notices.", callback=_verbose, **hidden),
        flag("-q", "--quiet", help="Print only errors on stderr.", callback=_quiet, **hidden),
        option(
            "--color",
            type=click.Choice(("auto", "always", "never")),
            default="auto",
            help="Use colour: auto (on a terminal), always or never.",
        ),
    ):
        function = decorator(function)
    return function


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every filter has."""
    function = shared_options(function)
    for decorator in (
        option(
            "--wait",
            type=Seconds(min=0),
            metavar="SECONDS",
            callback=_wait,
            help="Wait at most SECONDS for the first byte of stdin; 0: for ever.  [default: LLMTOOLS_WAIT, 30]",
        ),
        flag("-n", "--no-stdin", help="Do not read stdin."),
    ):
        function = decorator(function)
    return function


def needs_stream(process: Process, no_stdin: bool) -> None:
    """Refuse a terminal where a stream is needed, before waiting for it."""
    if not no_stdin and process.stdin_kind() == "terminal":
        raise click.UsageError("stdin is a terminal: pipe a stream into it, as in llm-msg user hi | " + process.name)
