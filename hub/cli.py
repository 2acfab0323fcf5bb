"""
The command line: every command, and what its end says.

Exit codes: 0 good, 1 the data say no, 2 used wrongly, 3 it could not be done. Messages go to stderr, data to stdout.
Every flag `--a-b` is also the environment variable `STADSPULS_A_B`. The commands stand in `hub.commands`.
"""

import sys

from aggregates.cbs import Unreachable
from aggregates.indicators import Refused
from aggregates.kwb import BadStatistics
from aggregates.maps import BadMap
from aggregates.query import BadQuestion
from aggregates.store import StoreError
from hub.commands import (  # noqa: F401 - each registers its commands
    alerts,
    areas,
    ask,
    chaos,
    export,
    figures,
    gateway,
    grafana,
    keep,
    rules,
    run,
    services,
)
from hub.commands.common import IMPOSSIBLE, NO, WRONG, app
from hub.output import errors
from hub.publish import BadRecording
from hub.servers import CannotStart
from hub.settings import BadSettings
from ingest.catalogue import BadCatalogue
from ingest.readings import BadPayload
from ingest.sender import BrokerRefused
from streams.channels import BadChannels

MISUSES = (BadSettings, BadQuestion, BadCatalogue, BadRecording, BadPayload, BadStatistics, BadMap, BadChannels)
FAILURES = (CannotStart, StoreError, BrokerRefused, Unreachable, TimeoutError, OSError)


def main() -> None:
    """Run the command line, and say in one line what went wrong."""
    try:
        app(prog_name="stadspuls")
    except MISUSES as error:
        _end(error, WRONG)
    except Refused as error:
        _end(error, NO)
    except FAILURES as error:
        _end(error, IMPOSSIBLE)


def _end(error: Exception, code: int) -> None:
    errors.print(f"error: {error}", markup=False)
    sys.exit(code)


__all__ = ["app", "main"]
