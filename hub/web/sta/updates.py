"""
Updates of SensorThings over MQTT: windows as they are computed, on `v1.1/Datastreams(ID)/Observations` of the broker.

`hub.run.distributed` makes it a part of a hub. A turn sends the hours that were computed since the last one sent, up to
a moment before which no transaction is under way, and their days, as `hub.web.sta.reading` gives them over HTTP.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from aggregates.store.errors import Refused
from aggregates.store.store import Store, Transaction
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from hub.settings.values import url_host
from hub.web.admission import STA
from hub.web.api.problems import Problem
from hub.web.sta.entities import SETS
from hub.web.sta.options import Options
from hub.web.sta.reading import OBSERVATIONS, Link, Reader
from ingest.mqtt.sender import Sender
from ingest.vocabulary.sources import UPDATES

MOST = 1_000  # hours that a turn sends, and messages that wait for the broker's confirmation
CONFIRMED_WITHIN = 5.0  # s
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=1)  # of what was computed that a turn looks at
DATASTREAMS = SETS["Datastreams"]


class Updates:
    """
    Sends the windows of the Datastreams that the setting `sta_updates` chooses, at least once each.

    How far it came is stored with that filter: the next start goes on there, and another filter begins with what is
    computed from then on. Of several over one database one sends. Raises StoreError; CannotStart for a wrong filter.
    """

    def __init__(self, settings: Settings, store: Store, sender: Sender) -> None:
        self._store, self._sender, self._filter = store, sender, settings.sta_updates
        own = settings.http_url or f"http://{url_host(settings.http_host)}:{settings.http_port}"
        self._root, self._zone = own.rstrip("/") + STA, settings.timezone
        try:
            with store.transaction(snapshot=True) as tx:
                list(self._messages(tx, [(0, 0)]))  # of no Datastream
        except (Problem, Refused, ValueError) as error:
            raise CannotStart(f"sta_updates {self._filter!r}: {getattr(error, 'detail', error)}") from error
        ((settled,),) = store.rows("read_settled_moment")
        self._reach = LONGEST
        store.rows("begin_to_send", filter=self._filter, settled=settled)

    def turn(self) -> None:
        """Send what is due, `MOST` hours at most; raises StoreError, and OSError where the broker does not confirm."""
        ((leads,),) = self._store.rows("take_session_lock", name="stadspuls updates")
        if not leads:
            return
        self._sender.flush(CONFIRMED_WITHIN)  # what an earlier turn left
        ((settled,),) = self._store.rows("read_settled_moment")  # before the state that is read
        with self._store.transaction(snapshot=True) as tx:
            due = tx.rows("list_updated", settled=settled, reach=self._reach, most=MOST)
            messages = list(self._messages(tx, [row[:2] for row in due])) if due else []
        for at in range(0, len(messages), MOST):
            for topic, payload in messages[at : at + MOST]:
                self._sender.publish(topic, payload)
            self._sender.flush(CONFIRMED_WITHIN)
        if due:
            self._store.rows("note_sent", **dict(zip(("computed_at", "series", "start"), due[-1][2:], strict=True)))
        else:
            self._store.rows("skip_sent", settled=settled, reach=self._reach)
        self._reach = max(self._reach / 2, SHORTEST) if len(due) >= MOST else min(self._reach * 2, LONGEST)

    def _messages(self, tx: Transaction, due: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, bytes]]:
        """Give topics and messages of Observations, each behind its Datastream, as far as these are chosen."""
        reader, options = Reader(tx, self._root, self._zone), Options.model_validate({"$filter": self._filter})
        link = Link(DATASTREAMS.by, {"id": sorted({stream for stream, _ in due})})
        chosen = {row[0] for page in reader.pages(DATASTREAMS, options, link, ["id"]) for row in page.rows}
        ids = sorted({one for stream, one in due if stream in chosen})
        link = Link(OBSERVATIONS.by, {"id": ids}, [one >> 32 for one in ids])
        for _, found in reader.entities(OBSERVATIONS, Options.model_validate({}), link) if ids else ():
            for one in found:
                yield f"{UPDATES}Datastreams({one['@iot.id'] >> 32})/Observations", msgspec.json.encode(one)
