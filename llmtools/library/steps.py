"""Asks the model of a response, and fills its state, step by step: blocking, and for asyncio."""

from __future__ import annotations

from typing import Any

from ..errors import LlmToolsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from ..exchange.exchange import Exchange
    from .prompt import Prompt
    from .state import ResponseState


class Steps:
    """Asks the model, and fills the state, one step for each `next`."""

    def __init__(self, state: ResponseState, later: Callable[[], Prompt] | None) -> None:
        self._state = state
        self._later = later
        self._exchange: Exchange | None = None
        self._batches: Generator[list[dict[str, Any]], None, None] | None = None

    def __next__(self) -> None:
        state = self._state
        try:
            if self._batches is None:
                self._batches = self._open()
            for records in self._batches:
                return state.add_records(records)
            if self._exchange is not None:
                state.end(self._exchange)
        except LlmToolsError as error:
            state.error = state.error or error
        except BaseException:
            state.give_up(self._exchange)
            raise
        raise StopIteration

    def _open(self) -> Generator[list[dict[str, Any]], None, None]:
        if self._later is not None:
            self._state.prompt = self._later()
        self._state.prompt.offered.prepare()
        self._exchange = self._state.exchange()
        return self._exchange.batches()

    def close(self) -> None:
        """Close the connection. Give the response up, if it is not over."""
        if self._batches is not None:
            self._batches.close()
        if not self._state.is_done:
            self._state.give_up(self._exchange)


class AsyncSteps:
    """As `Steps`, by `anext`. What may wait for a disk or a keyring waits in a thread.

    It is not a generator: asyncio closes all generators that are open when the loop ends at the same
    time, and one that closes another then fails.
    """

    def __init__(self, state: ResponseState, later: Callable[[], Awaitable[Prompt]] | None) -> None:
        self._state = state
        self._later = later
        self._exchange: Exchange | None = None
        self._batches: AsyncGenerator[list[dict[str, Any]], None] | None = None

    async def __anext__(self) -> None:
        state = self._state
        try:
            if self._batches is None:
                self._batches = await self._open()
            async for records in self._batches:
                return state.add_records(records)
            if self._exchange is not None:
                state.end(self._exchange)
        except LlmToolsError as error:
            state.error = state.error or error
        except BaseException:
            state.give_up(self._exchange)
            raise
        raise StopAsyncIteration

    async def _open(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        from asyncio import to_thread

        if self._later is not None:
            self._state.prompt = await self._later()
        await self._state.prompt.offered.prepare_async()
        self._exchange = await to_thread(self._state.exchange)
        return self._exchange.abatches()

    async def aclose(self) -> None:
        """Close the connection. Give the response up, if it is not over."""
        if self._batches is not None:
            await self._batches.aclose()
        if not self._state.is_done:
            self._state.give_up(self._exchange)
