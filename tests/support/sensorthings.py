"""
A hub for a test suite of SensorThings from outside, as the OGC's: `python -m tests.support.sensorthings PORT`.

Such a suite follows every link of the first entity of each set, and expects something behind each.
"""

import signal
import sys
import tempfile
from pathlib import Path

from hub.servers.postgres import EmbeddedPostgres
from hub.web.http import application, listening
from hub.web.metrics import ServiceCollector
from ingest.formats.registry import load_formats
from tests.support.apis import filled, serving
from tests.support.databases import fresh_database


def main(port: int) -> None:
    """Serve until a signal comes."""
    load_formats()
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres(Path(directory))
        server.start()
        try:
            with fresh_database(server.conninfo) as url, filled(url):
                app = application(ServiceCollector({}, database=url), lambda: {"ready": True}, serving(url), url)
                with listening(app, "127.0.0.1", port) as address:
                    print(f"{address}/sta/v1.1", flush=True)
                    signal.sigwait({signal.SIGINT, signal.SIGTERM})
        finally:
            server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
