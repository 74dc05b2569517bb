"""The protocol `gemini-interactions`: Interactions, of the Gemini API.

Documentation: https://ai.google.dev/gemini-api/docs/interactions
"""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
