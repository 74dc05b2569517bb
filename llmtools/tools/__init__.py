"""Tools: what a model may call, from functions, executables, command templates and MCP servers.

    from llmtools.tools import Toolset

    with Toolset("calc.py", "mcp:mcp-server-time") as tools:
        print(list(tools.records), tools.call("multiply", {"a": 12, "b": 34}).output)

`toolset`: the tools of several sources, and everything that is done with them
`round`: runs the pending calls of a message
`approval`: decides which calls may run
`source`: parses a SOURCE
`local`: functions of this process
`worker`, `worker_main`: functions in a child process, the parent's side and the child's
`mcp_main`: a child process that is the client of an MCP server
`mcp_stdio`, `mcp_web`, `mcp_http`: the connection to the server; `mcp_replies`: what the server says
`logins`: keys and logins for MCP servers on the web
`command`: executables and command templates
`process`: child processes and their limits
`function`, `hints`: Python functions as tools
`calls`: checks calls, and their results

Nothing is imported before it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .approval import Approval
    from .calls import Result
    from .function import result_of, tool_record, values_of
    from .process import CallLimits as Limits
    from .process import ToolError
    from .round import Round
    from .toolset import Toolset

_EXPORTS = {
    "Approval": "approval.Approval",
    "Limits": "process.CallLimits",
    "Result": "calls.Result",
    "Round": "round.Round",
    "ToolError": "process.ToolError",
    "Toolset": "toolset.Toolset",
    "result_of": "function.result_of",
    "tool_record": "function.tool_record",
    "values_of": "function.values_of",
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
    if name not in _EXPORTS:
        raise AttributeError(f"module 'llmtools.tools' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _EXPORTS[name].split(".")
    return getattr(import_module(f".{module}", __name__), attribute)
