"""A model by its name, and where it is asked."""

from __future__ import annotations

from ..http.endpoint import Secret
from ..protocols.request import is_built_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..protocols.request import Target


class ModelRef:
    """A model by its name, or the name that a server at `base_url` uses; `key` may be set."""

    def __init__(
        self, model_id: str, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
    ) -> None:
        self.model_id = model_id
        self.key = key
        self._address = (base_url, protocol)

    def target(self, key: Secret | None = None) -> Target:
        """Return where the model is asked. A key that is given wins over `key` and the one that is found.

        Raises NoModelError, NoKeyError, ConfigError, UsageError.

            llmtools.get_model("echo").target().name  # "echo"
        """
        base_url, protocol = self._address
        secret = key or (Secret(self.key) if self.key else None)
        if base_url is not None:
            from ..providers.address import at, target_at

            return target_at(at(base_url, protocol, secret), self.model_id)
        from ..exchange.ask import target_of

        return target_of(self.model_id, secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model_id}>"


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
