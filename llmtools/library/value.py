"""Records whose fields are attributes too: the base of messages, parts, events, attachments and options.

Rules:
* A value is the dict of the stream: `json.dumps` takes it, and two are equal if their dicts are.
* A class declares its fields as annotations, with the value of a field that is absent. Any other field
  that the dict has is an attribute too. Any other name is an AttributeError.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..records.build import deep_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


class Value(dict[str, Any]):
    """A record whose fields are attributes too."""

    __slots__ = ()

    _fields: ClassVar[dict[str, Any]] = {}
    """The value of each declared field where it is absent."""

    def __init_subclass__(cls) -> None:
        names = [name for name in vars(cls).get("__annotations__", {}) if not name.startswith("_")]
        if not names:  # Python 3.14 evaluates annotations when they are first read
            names = [name for name in getattr(cls, "__annotations__", {}) if not name.startswith("_")]
        cls._fields = {**cls._fields, **{name: vars(cls).get(name) for name in names}}
        for name in names:
            if name in vars(cls):
                delattr(cls, name)  # an attribute of the class would hide the field

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name in self._fields:
            return deep_copy(self._fields[name])
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self and name not in self._fields:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        self[name] = value

    def to_dict(self) -> dict[str, Any]:
        """Return it as a plain dict, for JSON: `llmtools.user("hi").to_dict()`."""
        copy: dict[str, Any] = deep_copy(self)
        return copy

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the object of a dict: `llmtools.Message.from_dict(json.loads(line))`."""
        value = cls.__new__(cls)
        value.update(record)
        return value
