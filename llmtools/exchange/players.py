"""What plays a model: HTTP, or one of the built-in models.

A player has the provider's name, `play`, which yields wants (`http.request`), and `known_end`, the
fields of `end` that are known where a reply is cut off.
"""

from __future__ import annotations

import random
import time

from ..errors import NoModelError
from ..providers.names import BUILT_IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..http.endpoint import Endpoint
    from ..http.request import Limits, Want
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from .response_records import Player

    Play = Callable[[Conversation, Request], Iterator[Want]]


class BuiltIn:
    """A model that is built in."""

    def __init__(self, provider: str, reply: Play) -> None:
        self.provider = provider
        self._reply = reply

    def play(self, conversation: Conversation, request: Request) -> Iterator[Want]:
        """Yield wants. Messages without parts say nothing, and are left out."""
        messages = [message for message in conversation.messages if message["parts"]]
        return self._reply(conversation.with_messages(messages), request)

    def known_end(self) -> dict[str, Any]:
        """Return nothing: a built-in model says all it knows in its `end`."""
        return {}


class OverHttp:
    """A model that is asked over HTTP."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        from .tries import Tries

        self.provider = endpoint.name
        self._endpoint = endpoint
        self._tries = Tries(endpoint, limits, monotonic=time.monotonic, random=random.random)

    def play(self, conversation: Conversation, request: Request) -> Iterator[Want]:
        """Yield wants: the files to fetch, then the tries."""
        from ..http.endpoint import is_local, split_url
        from ..protocols import load
        from .fetched import with_fetched

        protocol = load(self._endpoint.protocol)
        is_public = not is_local(split_url(self._endpoint.base_url)[1])
        fetched = with_fetched(conversation.messages, protocol.SPEC, request.quirks, is_public=is_public)
        messages = yield from fetched
        yield from self._tries.play(protocol, conversation.with_messages(messages), request)

    def known_end(self) -> dict[str, Any]:
        """Return what the last try knows of the usage and the model."""
        return self._tries.known_end()


def player_of(model: str, endpoint: Endpoint | None, limits: Limits) -> Player:
    """Return what plays a model: at an endpoint, or a built-in one by its name.

    Raises NoModelError for a name that is not a built-in model's.
    """
    if endpoint is not None:
        return OverHttp(endpoint, limits)
    kind, slash, path = model.partition("/")
    if model == "echo":
        from . import echo

        return BuiltIn("echo", echo.reply)
    if kind == "replay" and slash:
        from . import replay

        return BuiltIn("replay", lambda conversation, request: replay.reply(path, conversation, request))
    known = " and ".join(BUILT_IN.values())
    raise NoModelError(
        f"no built-in model is named {model!r}: there are {known}. A provider's model needs its endpoint"
    )
