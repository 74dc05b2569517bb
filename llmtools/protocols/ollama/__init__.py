"""Ollama native: the folder of the protocol `ollama`."""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
