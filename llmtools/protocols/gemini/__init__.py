"""Gemini generateContent: the folder of the protocol `gemini`."""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
