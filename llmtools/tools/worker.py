"""A child process that holds tools and runs their calls: `python -P -m llmtools.tools.worker FILE`.

It says its tools in one line, then reads calls and writes results, a line of JSON each:
    {"tools": [{"type": "tool", "name": "add", …}]}        or {"error": "…"}
    {"id": 1, "name": "add", "arguments": {"a": 1, "b": 2}, "max_output": 1048576}
    {"id": 1, "output": "3"}, with "exception" and "attachments" where there are some,
        and "last" where it takes no more calls

Rules:
* Calls run side by side: a function in a thread of its own, a coroutine in the event loop.
* What a tool prints goes to stderr, and it reads nothing: the pipes are for the lines alone.
* A public function of the file is a tool; so is each public method of a public class that
  is called, or derived from, Toolbox, as Class_method, on one object for as long as the
  process lives. `__all__`, where the file has it, says what is public.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from ..errors import InputError
from ..jsonl import dumps, loads
from .function import Result, result_of, told, tool_record, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, NoReturn

    Call = Callable[[str, dict[str, Any]], Awaitable[Result]]

THREADS = 256
"""The most calls that run at once."""


class Channel:
    """The two pipes of the worker, taken away from what it runs."""

    def __init__(self) -> None:
        self._reader = os.fdopen(os.dup(0), "rb")
        self._writer = os.dup(1)
        self._lock = threading.Lock()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def write(self, value: dict[str, Any]) -> None:
        """Write a line."""
        data = memoryview(dumps(value) + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._writer, data) :]

    def read(self) -> dict[str, Any] | None:
        """Return the next line, None at the end."""
        line = self._reader.readline()
        return loads(line) if line else None


async def serve(channel: Channel, tools: list[Any], call: Call, over: asyncio.Event | None = None) -> None:
    """Say the tools, and run calls until no more come, or until `over`."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    reader = ThreadPoolExecutor(1)  # its own: no number of calls keeps it from reading
    channel.write({"tools": tools})
    running: set[asyncio.Task[None]] = set()
    over = over or asyncio.Event()
    end = asyncio.create_task(over.wait())
    while True:
        read = loop.run_in_executor(reader, channel.read)
        first: set[asyncio.Future[Any]] = {read, end}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not read.done() or (asked := read.result()) is None:
            break
        task = asyncio.create_task(_answer(channel, asked, call, over))
        running.add(task)
        task.add_done_callback(running.discard)
    if end.done() and running:  # what was being answered has failed with what is over: let it be told
        await asyncio.wait(running, timeout=1)


async def _answer(channel: Channel, asked: dict[str, Any], call: Call, over: asyncio.Event) -> None:
    try:
        result = await call(asked["name"], asked["arguments"])
    except Exception as error:
        result = Result(exception=told(error))
    result = result.cut(asked["max_output"])
    said: dict[str, Any] = {"id": asked["id"], "output": result.output}
    if over.is_set():  # told with the answer, so that the next call is not sent to a process that is leaving
        said["last"] = True
    if result.exception is not None:
        said["exception"] = result.exception
    if result.attachments:
        said["attachments"] = result.attachments
    try:
        channel.write(said)
    except InputError as error:
        channel.write({"id": asked["id"], "output": "", "exception": error.message})


# Functions of a file


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions of a module that are tools, by name."""
    listed = getattr(module, "__all__", None)
    found: dict[str, Callable[..., Any]] = {}
    for name, value in list(vars(module).items()):
        is_public = name in listed if listed is not None else not name.startswith("_")
        if not is_public or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value) and any(base.__name__ == "Toolbox" for base in value.__mro__[1:]):
            found.update(_methods(name, value))
    return found


def _methods(name: str, kind: type) -> dict[str, Callable[..., Any]]:
    box = kind()
    names = [each for base in kind.__mro__ if base.__name__ not in ("object", "Toolbox") for each in vars(base)]
    methods = {each: getattr(box, each) for each in dict.fromkeys(names) if not each.startswith("_")}
    return {f"{name}_{each}": method for each, method in methods.items() if callable(method)}


def caller(functions: dict[str, Callable[..., Any]]) -> Call:
    """Return what runs one of the functions by its name."""

    async def call(name: str, arguments: dict[str, Any]) -> Result:
        function = functions[name]
        values = values_of(function, arguments)
        if inspect.iscoroutinefunction(function):
            return result_of(await function(**values))
        return result_of(await asyncio.to_thread(function, **values))

    return call


def load(path: str) -> ModuleType:
    """Return the module that a file of Python is; its own folder is searched for what it imports."""
    name = os.path.splitext(os.path.basename(path))[0]
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    exec(code, vars(module))  # noqa: S102  # the user has named this file
    return module


def main(path: str) -> None:
    """Hold the functions of a file."""
    channel = Channel()
    try:
        functions = functions_of(load(path))
        tools = [tool_record(function, name) for name, function in functions.items()]
    except BaseException as error:  # sys.exit in the file, too
        channel.write({"error": told(error)})
        return

    async def hold() -> NoReturn:
        await serve(channel, tools, caller(functions))
        os._exit(0)  # a thread that hangs holds nothing up

    asyncio.run(hold())


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
