"""Tools: what a model may call, from functions, executables, command templates and MCP servers.

    from llmtools.tools import Toolset

    with Toolset("calc.py", "mcp:mcp-server-time") as tools:
        print(list(tools.records), tools.call("multiply", {"a": 12, "b": 34}).output)

`toolset`: the tools of several sources, and all that is done with them; `run`: pending calls to
results; `approval`: who may run what; `source`: what a SOURCE names; `local`: functions of this
process; `remote` and `worker`: those that a child holds, its two sides; `mcp`: a child that holds a
server; `command`: executables and templates; `process`: child processes and their limits;
`function`, `hints`: Python functions as tools; `loop`: the stream of `llm-tools loop`.

Nothing is imported before it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .approval import Approval
    from .calls import Result
    from .function import result_of, tool_record, values_of
    from .process import Limits, ToolError
    from .round import Round
    from .toolset import Toolset

_HOME = {
    "Approval": "approval",
    "Limits": "process",
    "Result": "calls",
    "Round": "round",
    "ToolError": "process",
    "Toolset": "toolset",
    "result_of": "function",
    "tool_record": "function",
    "values_of": "function",
}

__all__ = [
    "Approval",
    "Limits",
    "Result",
    "Round",
    "ToolError",
    "Toolset",
    "result_of",
    "tool_record",
    "values_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'llmtools.tools' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)
