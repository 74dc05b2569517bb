"""The protocol `anthropic`: Anthropic Messages, of Anthropic and of servers that speak it too.

Documentation: https://platform.claude.com/docs/en/api/messages
"""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
