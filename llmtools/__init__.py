"""llmtools: conversations with language models, as streams.

    import llmtools
    for event in llmtools.stream([llmtools.user("hi")], model="echo"):
        if event["type"] == "text":
            print(event["chunk"], end="")

Nothing is imported before it is used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .canonical import canonical_json, node_hash
    from .conversation import Conversation
    from .errors import LlmToolsError
    from .fold import Fold, events_of, message_of
    from .jsonl import Decoder, dumps, encode, loads
    from .message import assistant, system, tool_message, user
    from .send import Exchange, stream

_HOME = {
    "Conversation": "conversation",
    "Decoder": "jsonl",
    "Exchange": "send",
    "Fold": "fold",
    "LlmToolsError": "errors",
    "assistant": "message",
    "canonical_json": "canonical",
    "dumps": "jsonl",
    "encode": "jsonl",
    "events_of": "fold",
    "message_of": "fold",
    "loads": "jsonl",
    "node_hash": "canonical",
    "stream": "send",
    "system": "message",
    "tool_message": "message",
    "user": "message",
}

__all__ = [
    "Conversation",
    "Decoder",
    "Exchange",
    "Fold",
    "LlmToolsError",
    "assistant",
    "canonical_json",
    "dumps",
    "encode",
    "events_of",
    "loads",
    "message_of",
    "node_hash",
    "stream",
    "system",
    "tool_message",
    "user",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'llmtools' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
