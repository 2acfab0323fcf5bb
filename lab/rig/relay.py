"""
A piece of network that can be cut: passes bytes between clients and one server, as they come.

`lab.chaos` puts one before broker, Kafka and database. While it is cut it holds everything back, also the end of a
connection, as a network does that drops packets; neither side gets an error. Mended, it goes on where it was, or
resets the connections that hung.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

Place = tuple[str, int] | Path  # host and port, or a unix socket
_CHUNK = 1 << 16


class Relay:
    """Listens at one place and passes on to another while its `with` block runs."""

    def __init__(self, listen: Place, target: Place) -> None:
        self._listen, self._target = listen, target
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(10):
            raise OSError(f"relay cannot listen at {self._listen}")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.cancel)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Hold everything back from now on."""
        self._now(self._whole.clear)

    def mend(self, *, reset: bool = False) -> None:
        """Go on, or end the connections that hung, as a firewall does that has lost their state."""
        if reset:
            self._now(self._reset)
        self._now(self._whole.set)

    def _now(self, change: Callable[[], object]) -> None:
        """Change something in the thread, and return when it is done."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(change)
        self._loop.call_soon_threadsafe(done.set)
        done.wait()

    # In the thread.

    async def _serve(self) -> None:
        self._over = asyncio.ensure_future(asyncio.Event().wait())
        if isinstance(self._listen, Path):
            server = await asyncio.start_unix_server(self._client, self._listen)
        else:
            server = await asyncio.start_server(self._client, *self._listen)
        self._listening.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._over
        server.close()
        self._whole.set()
        self._reset()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            await self._whole.wait()
            back, far = await self._reach()
            self._writers.add(far)
            ways = [asyncio.ensure_future(self._pass(*way)) for way in ((reader, far), (back, writer))]
            _, rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in rest:
                way.cancel()
        except OSError:
            pass  # the server is away: its client gets a connection that ends
        finally:
            for one in (writer, far) if far else (writer,):
                self._writers.discard(one)
                one.close()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(_CHUNK)
                await self._whole.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
