"""Anthropic Messages: the folder of the protocol `anthropic`."""

from .request import Decoder, encode, error_of
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
