"""What a model is asked: a conversation, and what goes with it. A value: it is never changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .conversation import Conversation
from .errors import UsageError
from .request import Limits
from .toolbox import Tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .model import Named
    from .request import Endpoint, Request

CHANGEABLE = ("tools", "schema", "options", "key", "reasoning", "tool_choice", "stream", "limits")


def schema_of(given: Any) -> dict[str, Any] | None:
    """Return a JSON Schema: one that is given, that of a pydantic model, or of the short form.

    Raises UsageError.
    """
    if given is None or isinstance(given, dict):
        return given
    if hasattr(given, "model_json_schema"):
        found: dict[str, Any] = given.model_json_schema()
        return found
    if isinstance(given, str):
        from .schema import from_text

        return from_text(given)
    raise UsageError(f"no schema: {given!r}")


@dataclass(frozen=True)
class Prompt:
    """What is asked. `messages` is the whole conversation, as the model sees it."""

    model: Named
    messages: tuple[dict[str, Any], ...]
    tools: Tools = field(default_factory=Tools)
    schema: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    reasoning: str | None = None
    tool_choice: str | None = None
    stream: bool = True
    limits: Limits = field(default_factory=Limits)

    def conversation(self) -> Conversation:
        """Return the records of the conversation, the tools first."""
        messages = [{"type": "message", **message} for message in self.messages]
        return Conversation([*self.tools.records.values(), *messages])

    def request(self) -> tuple[Request, Endpoint | None]:
        """Return what is asked of whom. Raises NoModelError, NoKeyError, ConfigError."""
        target = self.model.target(self.key)
        request = target.request(
            self.options,
            schema=self.schema,
            tool_choice=self.tool_choice,
            reasoning=self.reasoning,
            stream=self.stream,
        )
        return request, target.endpoint

    def next(self, messages: list[dict[str, Any]], changed: dict[str, Any]) -> Prompt:
        """Return the prompt of the next turn: as this one, but for what is changed."""
        return replace(self, messages=tuple(messages), **_settings(changed))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it: no key."""
        made: dict[str, Any] = {"messages": [_plain(message) for message in self.messages]}
        said = {
            "tools": list(self.tools.records.values()),
            "schema": self.schema,
            "options": self.options,
            "reasoning": self.reasoning,
            "tool_choice": self.tool_choice,
        }
        return {**made, **{name: value for name, value in said.items() if value}}

    @classmethod
    def from_dict(cls, data: dict[str, Any], model: Named) -> Prompt:
        """Return the prompt that `to_dict` told of."""
        messages = tuple({"type": "message", **message} for message in data.get("messages", ()))
        said = {name: data[name] for name in ("schema", "options", "reasoning", "tool_choice") if name in data}
        return cls(model, messages, Tools(data.get("tools", ())), **said)


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "type"}


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return settings as a prompt keeps them; what is no setting is an option of the model."""
    settings = {name: value for name, value in given.items() if name in CHANGEABLE}
    others = {name: value for name, value in given.items() if name not in CHANGEABLE}
    if others or "options" in settings:
        settings["options"] = {**(settings.get("options") or {}), **others}
    if "tools" in settings:
        settings["tools"] = Tools(settings["tools"] or ())
    if "schema" in settings:
        settings["schema"] = schema_of(settings["schema"])
    return settings


def made(
    model: Named,
    prompt: str | None,
    *,
    messages: Any = (),
    system: str | None = None,
    attachments: Any = (),
    fragments: Any = (),
    tool_results: Any = (),
    **settings: Any,
) -> Prompt:
    """Return a prompt: `system` first, then `messages`, results of tools, and `prompt` with
    `fragments` (texts, before it) and `attachments` as the user's words.

    What is no setting is an option of the model. Raises UsageError where there is nothing to ask.
    """
    from .values import system as system_message
    from .values import tool_message, user

    said: list[dict[str, Any]] = [dict(system_message(system))] if system else []
    said += [{"type": "message", **message} for message in messages or ()]
    if tool_results:
        said.append(dict(tool_message(*tool_results)))
    texts = [*(fragments or ()), *([prompt] if prompt else [])]
    if texts or attachments:
        text = ["\n\n".join(texts)] if texts else []
        said.append(dict(user(*text, *(attachments or ()))))
    if not said:
        raise UsageError("nothing to ask: give a prompt, messages or attachments")
    return replace(Prompt(model, tuple(said)), **_settings(settings))
