"""Tools: what a model may call, from functions, executables, command templates and MCP servers.

`function`: Python functions; `source`: what a SOURCE names; `process`: child processes and
their limits; `worker`: a child that holds functions or an MCP server; `command`: executables
and templates; `run`: pending calls to results; `approval`: who may run what.
"""
