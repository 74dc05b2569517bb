"""llmtools: conversations with language models, as streams.

    import llmtools
    print(llmtools.get_model("echo").prompt("hi").text())

Nothing is imported before it is used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import LlmToolsError
    from .exchange.ask import stream
    from .exchange.exchange import Exchange
    from .http.request import Limits
    from .library.aio import AsyncChain, AsyncModel, AsyncResponse, AsyncTalk, get_async_model
    from .library.filter import read_stream, write_stream
    from .library.messages import (
        Attachment,
        Event,
        Message,
        Part,
        ToolCall,
        ToolOutput,
        ToolResult,
        Usage,
        assistant,
        system,
        tool_message,
        user,
    )
    from .library.prompt import schema_dsl
    from .library.sync import Chain, Model, Response, Talk, get_model
    from .library.toolbox import (
        CancelToolCall,
        PauseChain,
        Tool,
        Toolbox,
    )
    from .protocols.request import Request
    from .records.canonical import canonical_json, node_hash
    from .records.conversation import Conversation
    from .records.fold import Fold, events_of, message_of
    from .records.jsonl import (
        Decoder,
        dumps,
        encode,
        loads,
    )

_HOME = {
    "AsyncChain": "library.aio",
    "AsyncModel": "library.aio",
    "AsyncResponse": "library.aio",
    "AsyncTalk": "library.aio",
    "Attachment": "library.messages",
    "CancelToolCall": "library.toolbox",
    "Chain": "library.sync",
    "Conversation": "records.conversation",
    "Decoder": "records.jsonl",
    "Event": "library.messages",
    "Exchange": "exchange.exchange",
    "Fold": "records.fold",
    "Limits": "http.request",
    "LlmToolsError": "errors",
    "Message": "library.messages",
    "Model": "library.sync",
    "Part": "library.messages",
    "PauseChain": "library.toolbox",
    "Request": "protocols.request",
    "Response": "library.sync",
    "Talk": "library.sync",
    "Tool": "library.toolbox",
    "ToolCall": "library.messages",
    "ToolOutput": "library.messages",
    "ToolResult": "library.messages",
    "Toolbox": "library.toolbox",
    "Usage": "library.messages",
    "assistant": "library.messages",
    "canonical_json": "records.canonical",
    "dumps": "records.jsonl",
    "encode": "records.jsonl",
    "events_of": "records.fold",
    "get_async_model": "library.aio",
    "get_model": "library.sync",
    "loads": "records.jsonl",
    "message_of": "records.fold",
    "node_hash": "records.canonical",
    "read_stream": "library.filter",
    "schema_dsl": "library.prompt",
    "stream": "exchange.ask",
    "system": "library.messages",
    "tool_message": "library.messages",
    "user": "library.messages",
    "write_stream": "library.filter",
}

__all__ = [
    "AsyncChain",
    "AsyncModel",
    "AsyncResponse",
    "AsyncTalk",
    "Attachment",
    "CancelToolCall",
    "Chain",
    "Conversation",
    "Decoder",
    "Event",
    "Exchange",
    "Fold",
    "Limits",
    "LlmToolsError",
    "Message",
    "Model",
    "Part",
    "PauseChain",
    "Request",
    "Response",
    "Talk",
    "Tool",
    "ToolCall",
    "ToolOutput",
    "ToolResult",
    "Toolbox",
    "Usage",
    "assistant",
    "canonical_json",
    "dumps",
    "encode",
    "events_of",
    "get_async_model",
    "get_model",
    "loads",
    "message_of",
    "node_hash",
    "read_stream",
    "schema_dsl",
    "stream",
    "system",
    "tool_message",
    "user",
    "write_stream",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'llmtools' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
