"""A model: its name and where it is asked, or a class of one's own; and the models that are registered.

Rule: a class with a method `execute` is a model of one's own. It is not looked up, and needs no server.
"""

from __future__ import annotations

from typing import Any

from ..errors import NoKeyError, NoModelError, UsageError
from ..http.endpoint import Secret
from ..protocols.request import BUILT_IN, Target, is_built_in
from .options import CommonOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import ClassVar, TypeVar

    ModelT = TypeVar("ModelT", bound="ModelRef")

LIST_TIME = 10.0
"""The most seconds that the lists of the providers may take."""

_registered: dict[str, list[ModelRef]] = {}
"""The models of one's own by each of their names: one for `get_model`, one for `get_async_model`, or both."""


class ModelRef:
    """A model by its name, or the name that a server at `base_url` uses; `key` may be set."""

    model_id: str = ""
    key: str | None = None
    needs_key: str | None = None
    """The name of the key that a model of one's own needs, as `llm-keys set NAME` stores it."""
    key_env_var: str | None = None
    """The variable that may have that key."""
    can_stream: bool = True
    supports_tools: bool = True
    supports_schema: bool = True
    supports_conversation: bool = True
    Options: ClassVar[Any] = CommonOptions
    """The class of the options; that of a model of one's own says which there are."""
    _address: tuple[str | None, str | None] = (None, None)
    is_async = False
    takes_key = False
    """Whether `execute` takes a parameter `key`."""

    def __init__(
        self,
        model_id: str | None = None,
        *,
        base_url: str | None = None,
        protocol: str | None = None,
        key: str | None = None,
    ) -> None:
        if model_id is not None:
            self.model_id = model_id
        if key is not None:
            self.key = key
        self._address = (base_url, protocol)

    @property
    def is_own(self) -> bool:
        """Whether it is a model of one's own: its class has `execute`."""
        return callable(getattr(type(self), "execute", None))

    @property
    def attachment_types(self) -> Collection[str]:
        """The MIME types of the attachments that it takes; of a provider's model those of its images."""
        if self.is_own:
            return frozenset()
        from ..protocols import load

        endpoint = self.target().endpoint
        return frozenset(load(endpoint.protocol).SPEC.image_types) if endpoint is not None else frozenset()

    def target(self, key: Secret | None = None) -> Target:
        """Return where the model is asked. A key that is given wins over `key` and the one that is found.

        Raises NoModelError, NoKeyError, ConfigError, UsageError.

            llmtools.get_model("echo").target().name  # "echo"
        """
        if self.is_own:
            return Target(self.model_id, self.model_id)
        base_url, protocol = self._address
        secret = key or (Secret(self.key) if self.key else None)
        if base_url is not None:
            from ..providers.address import at, target_at

            return target_at(at(base_url, protocol, secret), self.model_id)
        from ..exchange.ask import target_of

        return target_of(self.model_id, secret)

    def get_key(self, explicit_key: str | None = None) -> str | None:
        """Return the key of a model of one's own: the given one, else `key`, else that of `needs_key`; None
        if it needs none. Raises NoKeyError.

            llmtools.get_model("echo").get_key()  # None
        """
        if self.needs_key is None or explicit_key or self.key:
            return explicit_key or self.key
        from .settings import get_key

        if key := get_key(alias=self.needs_key, env=self.key_env_var):
            return key
        variable = f"set {self.key_env_var}, or " if self.key_env_var else ""
        raise NoKeyError(f"no key for {self.model_id}: {variable}llm-keys set {self.needs_key}")

    def _options_of(self, given: Mapping[str, Any]) -> Any:
        """Return options as an object of `Options`. Raises UsageError for one that the model does not have."""
        return self.Options(**given)

    def _check(self, prompt: Any) -> None:
        """Check that a model of one's own takes what a prompt has. Raises UsageError."""
        if not self.is_own:
            return
        if prompt.schema and not self.supports_schema:
            raise UsageError(f"{self.model_id} does not support schemas")
        if prompt.offered.records and not self.supports_tools:
            raise UsageError(f"{self.model_id} does not support tools")
        if not self.supports_conversation and any(each.role in ("assistant", "tool") for each in prompt.history):
            raise UsageError(f"{self.model_id} does not support conversations")
        for attachment in prompt.attachments:
            kind = attachment.resolve_type()
            if kind not in self.attachment_types:
                taken = ", ".join(sorted(self.attachment_types)) or "none"
                raise UsageError(f"{self.model_id} takes no attachment of the type {kind}; it takes {taken}")

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.model_id}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model_id}>"


def register(model: ModelRef, async_model: ModelRef | None = None, aliases: Iterable[str] | None = None) -> None:
    """Make `get_model` and `get_async_model` know a model of one's own: by its `model_id` and by aliases.

    Raises UsageError for one without a `model_id`, or with the name of a built-in model.

        class Shout(llmtools.Model):
            model_id = "shout"

            def execute(self, prompt, stream, response, conversation):
                yield prompt.prompt.upper()

        llmtools.register(Shout(), aliases=["loud"])
        llmtools.get_model("loud").prompt("hi").text()  # "HI"
    """
    for each in (model, *([async_model] if async_model is not None else [])):
        for name in (each.model_id, *(aliases or ())):
            if not name or is_built_in(name):
                raise UsageError(f"a model cannot be registered as {name!r}: a name is needed that is not {_names()}")
            others = [other for other in _registered.get(name, ()) if other.is_async != each.is_async]
            _registered[name] = [*others, each]


def _names() -> str:
    return " or ".join(BUILT_IN)


def own_models(kind: type[ModelT]) -> list[ModelT]:
    """Return the registered models of a kind, each once."""
    every = {id(each): each for models in _registered.values() for each in models}
    return [each for each in every.values() if isinstance(each, kind)]


def own_model(name: str | None, base_url: str | None, kind: type[ModelT]) -> ModelT | None:
    """Return the registered model of a name, or of the default model for None; None if there is none.

    Raises NoModelError for one that is registered only for the other kind of models.
    """
    if not _registered or base_url is not None:
        return None
    models = _registered.get(name or "") or _registered.get(_full_name(name), [])
    found = next((each for each in models if isinstance(each, kind)), None)
    if models and found is None:
        function = "get_model" if models[0].is_async is False else "get_async_model"
        raise NoModelError(f"{name} is registered only for {function}")
    return found


def _full_name(name: str | None) -> str:
    from ..providers.config import read_config
    from ..providers.resolve import resolve_alias
    from .settings import get_default_model

    chosen = name or get_default_model()
    return resolve_alias(chosen, read_config()) if chosen else ""


def listed_names() -> list[str]:
    """Return the names of the models that can be asked: `echo`, and those that each provider with a key, or
    on this machine, lists. A list that fails is a warning. Raises ConfigError."""
    from warnings import warn

    from ..providers.config import read_config
    from ..providers.lists import load_listings

    names = ["echo"]
    for listing in load_listings(read_config(), [], refresh=False, limit=LIST_TIME):
        if listing.failure is not None:
            warn(f"{listing.provider}: {listing.failure.message}", stacklevel=3)
        names += sorted(str(model["name"]) for model in listing.models if model.get("chat") is not False)
    return names


def known_name(name: str | None, base_url: str | None) -> str:
    """Return the name of a model, or of the default model for None. Raises NoModelError for a name
    that is not known, and where there is no default."""
    if not name:
        from ..exchange.ask import choose_model
        from ..records.conversation import Conversation

        name = choose_model(None, Conversation(), at_endpoint=base_url is not None)
    if base_url is None and not is_built_in(name):
        from ..providers.config import read_config
        from ..providers.resolve import split_name

        split_name(name, read_config())
    return name
