"""Providers of models: their addresses, protocols and keys, and their lists of models.

    import llmtools.providers

    endpoint = llmtools.providers.at("http://127.0.0.1:8080/v1")

Nothing is imported before it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .address import at

__all__ = ["at"]


def __getattr__(name: str) -> object:
    if name != "at":
        raise AttributeError(f"module 'llmtools.providers' has no attribute {name!r}")
    from .address import at

    return at
