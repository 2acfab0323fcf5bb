"""
What a command may end with that is no bug, by what it says of the user, the data and the world.

`hub.cli.main` looks here when a command has failed, and not before: to know all these, much has to be loaded.
"""

from aggregates.areas.cbs_door import Unreachable
from aggregates.areas.indicators import Refused
from aggregates.areas.kwb import BadStatistics
from aggregates.areas.maps import BadMap
from aggregates.ask.query import BadQuestion
from aggregates.store.store import StoreError
from hub.cli.publish import BadRecording
from hub.servers.process import CannotStart
from hub.settings.settings import BadSettings
from ingest.files.catalogue import BadCatalogue
from ingest.mqtt.sender import BrokerRefused
from ingest.vocabulary.readings import BadPayload
from streams.notify.channels import BadChannels

MISUSES = (BadSettings, BadQuestion, BadCatalogue, BadRecording, BadPayload, BadStatistics, BadMap, BadChannels)
REFUSALS = (Refused,)
FAILURES = (CannotStart, StoreError, BrokerRefused, Unreachable, TimeoutError, OSError)
