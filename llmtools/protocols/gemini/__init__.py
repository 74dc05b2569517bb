"""The protocol `gemini`: generateContent, of the Gemini API and of Gemini on Vertex AI.

Documentation: https://ai.google.dev/api/generate-content
"""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
