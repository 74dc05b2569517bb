"""Gemini generateContent: `encode` makes a request, `Decoder` makes events of a response, `error_of` an exception."""

from .request import Decoder, encode, error_of

__all__ = ["Decoder", "encode", "error_of"]
