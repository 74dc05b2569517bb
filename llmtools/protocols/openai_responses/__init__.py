"""The protocol `openai-responses`: OpenAI Responses, of OpenAI and of servers that speak it too.

Documentation: https://platform.openai.com/docs/api-reference/responses
"""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
