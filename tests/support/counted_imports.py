"""A program that counts what a command imports, and a stream for it to read."""

from __future__ import annotations

COUNT = """
import os, sys
import click, orjson
before = set(sys.modules)
def leave(status):
    import json
    sys.stderr.write(json.dumps([status, sorted(set(sys.modules) - before)]))
    sys.stderr.flush()
    os.kill(os.getpid(), 9)
os._exit = leave
name, sys.argv = sys.argv[1], sys.argv[1:]
sys.path.insert(0, "")
import llmtools.cli
getattr(llmtools.cli, "llm_" + name)()
"""
STREAM = (
    b'{"role":"user","content":"hi"}\n{"type":"start","response_id":"r","model":"echo"}\n'
    b'{"type":"text","chunk":"hi","part_index":0}\n'
    b'{"type":"message","role":"assistant","parts":[{"type":"text","text":"hi"}],"response":{"id":"r","status":"ok"}}\n'
)
