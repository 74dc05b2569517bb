"""The protocol `ollama`: /api/chat of an Ollama server, as NDJSON.

Documentation: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
