"""
What a command may end with that is no bug, by what it says of the user, the data and the world.

`hub.cli` looks here when a command has failed, and not before: to know all these, much has to be loaded.
"""

from aggregates.cbs import Unreachable
from aggregates.indicators import Refused
from aggregates.kwb import BadStatistics
from aggregates.maps import BadMap
from aggregates.query import BadQuestion
from aggregates.store import StoreError
from hub.publish import BadRecording
from hub.servers import CannotStart
from hub.settings import BadSettings
from ingest.catalogue import BadCatalogue
from ingest.readings import BadPayload
from ingest.sender import BrokerRefused
from streams.channels import BadChannels

MISUSES = (BadSettings, BadQuestion, BadCatalogue, BadRecording, BadPayload, BadStatistics, BadMap, BadChannels)
REFUSALS = (Refused,)
FAILURES = (CannotStart, StoreError, BrokerRefused, Unreachable, TimeoutError, OSError)
