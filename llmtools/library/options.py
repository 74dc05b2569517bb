"""Options of a model as an object: `prompt.options.temperature`."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .value import Value


class Options(Value):
    """The options of a prompt. One that is not given is None, or has its default.

    The class of a model of one's own declares which there are; any other name is then refused.

        class Verbose(llmtools.Options):
            words: int = 10

        Verbose(words=3).words  # 3
        Verbose().words  # 10
    """

    __slots__ = ()

    def __init__(self, **given: Any) -> None:
        unknown = given.keys() - self._fields.keys()
        if unknown and self._fields:
            names = ", ".join(self._fields)
            raise UsageError(f"options: {min(unknown)!r} is not an option of the model; there are {names}")
        super().__init__({name: value for name, value in given.items() if value is not None})

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        return value.get_default() if hasattr(value, "get_default") else value  # that of a pydantic Field


class CommonOptions(Options):
    """The options of any provider's model: those with a common name, and others of the vendor's."""

    __slots__ = ()

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    parallel_tool_calls: bool | None = None
    service_tier: str | None = None
    verbosity: str | None = None

    def __init__(self, **given: Any) -> None:
        dict.__init__(self, {name: value for name, value in given.items() if value is not None})
