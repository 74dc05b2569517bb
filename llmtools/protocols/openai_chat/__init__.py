"""The protocol `openai-chat`: OpenAI Chat Completions, of OpenAI and of most other servers.

Documentation: https://platform.openai.com/docs/api-reference/chat
"""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
