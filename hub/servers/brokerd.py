"""
The built-in broker's own process: `python -m hub.servers.brokerd CONFIG HOST PORT ID` serves until it is stopped.

rumqttd listens on ports of this machine alone, and clients come in here, because it takes less than MQTT allows and
closes connections without a word (`hub.servers.packets`). What is refused gets a CONNACK and a line in the log. A file
beside the configuration says how many messages it holds for the hub, the client with this id.
`hub.servers.broker` writes the configuration and starts it. Nothing else belongs here: it outlives the hub.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from iotcore.iotcore import IotCoreBroker

from hub.servers.packets import HELD, LARGEST, Connect, Held, Refused, Stream, read_connect
from ingest.mqtt.socket import acknowledge_at_once, number

_CHUNK = 256 * 1024
_CONNECTS_WITHIN = 60.0  # s
_LOOK_EVERY = 1.0  # s between two looks at what is held
_LINES_EVERY = 1.0  # s between two lines of the log: strangers may make as many errors as they like

_Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_log = logging.getLogger("broker")


class Door:
    """Lets clients in to rumqttd, which listens on a port for MQTT 3.1.1 and on one for MQTT 5."""

    def __init__(self, ports: Sequence[int], template: str, hub: str, file: BinaryIO) -> None:
        # Where no user is asked for, rumqttd closes a connection only because it has ended.
        asks = ".auth]" in template
        self._refusal = ("user name or password", 5, 0x87) if asks else ("rumqttd does not answer", 3, 0x88)
        self._ports = ports
        self._held, self._hub, self._file = Held(), hub, file
        self._own = template.partition("\n")[0].partition("on: ")[2].encode()  # see rumqttd.toml
        self._hub_stream: Stream | None = None
        self._logged, self._unlogged = 0.0, 0

    async def note(self) -> None:
        """Keep the file up to date."""
        written = -1
        while True:
            if written != (written := self._held.look(self._hub_stream is not None)):
                self.write()
            await asyncio.sleep(_LOOK_EVERY)

    def write(self) -> None:
        """Write how many messages are held, always in the same length, so that nobody reads half of it."""
        with suppress(OSError):
            os.pwrite(self._file.fileno(), b"%20d" % self._held.most, 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it or rumqttd ends the connection."""
        who = "{}:{}".format(*writer.get_extra_info("peername"))
        try:
            async with asyncio.timeout(_CONNECTS_WITHIN):
                connect = await _connect(reader)
            who = f"{connect.client_id[:100]!r} at {who}"
            await self._relay(connect, reader, writer)
        except (ValueError, IndexError, TimeoutError) as error:
            writer.write(error.answer if isinstance(error, Refused) else b"")
            self._say(f"{who} refused: {error or f'no CONNECT within {_CONNECTS_WITHIN:.0f} s'}")
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _relay(self, connect: Connect, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = b"" if connect.client_id.startswith(self._hub) else self._own
        if own and connect.has_will and own in connect.packet:
            raise Refused(f"will on {own!r}: the hub alone publishes there", connect.refusal(5, 0x87))
        stream = Stream(connect.five, own)
        try:
            inside, out = await asyncio.open_connection("127.0.0.1", self._ports[connect.five], limit=_CHUNK)
        except OSError as error:
            raise Refused(f"rumqttd cannot be reached: {error}", connect.refusal(3, 0x88)) from error
        try:
            out.write(connect.packet)
            answer = await inside.read(_CHUNK)
            if answer[3:4] != b"\0":
                reason, *codes = self._refusal
                raise Refused(reason, answer or connect.refusal(*codes))
            accepted = connect.accepted(answer)
            if connect.client_id == self._hub:
                self._hub_stream, stream.is_hub = stream, True
                accepted = self._held.connected(accepted)
            writer.write(accepted)
            await self._both_ways(connect, stream, (reader, out), (inside, writer))
        finally:
            out.close()

    async def _both_ways(self, connect: Connect, stream: Stream, up: _Way, down: _Way) -> None:
        try:
            sending = asyncio.create_task(_pump(*up, partial(self._taken, stream)))
            receiving = asyncio.create_task(_pump(*down, partial(self._given, stream, up[1])))
            done, left = await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            await done.pop()
            if sending in left and not stream.left:
                raise Refused("silent, its id used by another client, or a packet that is against MQTT")
        finally:
            self._held.came(connect.has_will)
            if self._hub_stream is stream:
                self._hub_stream = None

    def _taken(self, stream: Stream, data: bytes) -> bytes:
        out = stream.taken(data)
        self._held.came(stream.confirmed)
        if self._hub_stream is stream:
            self._held.acknowledged(stream.acknowledgements)
            out += self._held.answers()
        stream.confirmed = stream.acknowledgements = 0
        return out

    def _given(self, stream: Stream, out: asyncio.StreamWriter, data: bytes) -> bytes:
        acknowledge_at_once(out.get_extra_info("socket"))
        if self._hub_stream is stream:
            data = self._held.sent(data)
            out.write(self._held.answers())
        return data

    def _say(self, text: str) -> None:
        self._unlogged += 1
        if time.monotonic() > self._logged + _LINES_EVERY:
            _log.warning("%s (%s since the last line)", text, self._unlogged)
            self._logged, self._unlogged = time.monotonic(), 0


async def _connect(reader: asyncio.StreamReader) -> Connect:
    if (head := await reader.readexactly(5))[0] != 0x10:
        raise ValueError(f"first packet begins with {head!r}, expected CONNECT")
    size, at = number(head, 1)
    if size > LARGEST:
        raise ValueError(f"CONNECT of {size} bytes, expected at most {LARGEST}")
    return read_connect(head + await reader.readexactly(max(0, at + size - len(head))))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, taken: Callable[[bytes], bytes]) -> None:
    """Hand on what comes until the end; a connection that breaks is one that ends."""
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(taken(data))
            await writer.drain()


def _rumqttd(template: str) -> list[int]:
    """Start rumqttd on two free ports, and end this process with it; gives the ports."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [int(each.getsockname()[1]) for each in (one, two)]
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as config:
        for name, port in zip(("PORT", "PORT_OF_5"), ports, strict=True):
            template = template.replace(f'listen = "127.0.0.1:{name}"', f'listen = "127.0.0.1:{port}"')
        config.write(template)
        config.flush()
        broker = IotCoreBroker(config_path=config.name)

    def run() -> None:
        broker.run_forever()
        os._exit(1)

    threading.Thread(target=run, daemon=True).start()
    return ports


async def _serve(config: Path, host: str, port: int, hub: str) -> None:
    template = config.read_text("utf-8")
    with config.with_name(HELD).open("wb") as file:
        door = Door(_rumqttd(template), template, hub, file)

        def end() -> None:
            door.write()
            os._exit(0)

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
        server = await asyncio.start_server(door.serve, host, port, limit=_CHUNK, backlog=1024)
        await asyncio.gather(server.serve_forever(), door.note())


def main() -> None:
    """Serve with rumqttd's configuration, in which PORT and PORT_OF_5 stand for its ports, on HOST and PORT, for ID."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    # rumqttd logs every message at level error; even dropping those lines late costs two thirds of its speed.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL + 1)
    _, config, host, port, hub = sys.argv
    asyncio.run(_serve(Path(config), host, int(port), hub))


if __name__ == "__main__":
    main()
