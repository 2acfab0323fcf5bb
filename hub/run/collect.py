"""
The service at the broker: messages off a shared subscription, batches onto Kafka.

`hub.run.distributed` has the services behind Kafka, `hub.cli.run` runs them all; receiver and collector are those
of the embedded hub; `ingest.mqtt.slots` assigns the sessions at the broker.
"""

import threading
from contextlib import ExitStack
from functools import partial
from typing import Self

import structlog

from hub.run.kafka_log import topics
from hub.run.parts import END_WITHIN, Turns, needed
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from hub.web.http import metrics_served
from hub.web.metrics import Gauges, ServiceCollector
from ingest.collector import Collector
from ingest.files.site_table import SITES_FILE, SiteTable
from ingest.formats.registry import load_formats
from ingest.log.kafka import KafkaLog
from ingest.mqtt.address import Address
from ingest.mqtt.client import LOOK_EVERY, clear_retained
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.slots import Slot, SlotTaken, lost_slots, take_slot
from ingest.vocabulary.sources import subscriptions

GROUP = "stadspuls"  # of the collectors, at the broker
_DRAIN_WITHIN = 30.0  # s to empty a slot; the rest waits in the broker

log = structlog.get_logger(__name__)


class Collect:
    """
    `stadspuls collect`: off the broker, onto Kafka, while the `with` block runs.

    Leaving it finishes what was taken. Where another collector stays, the broker's session of this slot is emptied and
    ended; the last one keeps it, for what is published until the next one starts. `emptied` is whether it was.
    """

    def __init__(self, settings: Settings, slot: int | None = None) -> None:
        self.failed = threading.Event()
        self.emptied = False
        self._settings, self._wanted = settings, slot
        self._slots = settings.slots_dir or settings.data_dir / "slots"
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            settings = self._settings
            log_of = topics(settings)
            address = Address.parse(needed(settings, "broker", "mqtt://host")).with_credentials(settings.credentials)
            load_formats(settings.mappings)
            self._slot = undo.enter_context(self._take_slot())
            self.log = KafkaLog(log_of, settings.batch_readings * 2)
            self.receiver = Receiver(
                address, subscriptions(), self._slot.client_id, GROUP,
                in_flight_messages=settings.in_flight_messages, in_flight_bytes=settings.in_flight_bytes,
            )  # fmt: skip
            sites = SiteTable(settings.data_dir / SITES_FILE)
            taken = self.receiver
            self.collector = Collector(
                taken.rounds, taken.acknowledge, self.log.put, sites.current, settings.earliest,
                lambda _: self.failed.set(),
            )  # fmt: skip
            undo.callback(self._stop)
            self.collector.start()
            self.receiver.start()
            look = partial(clear_retained, address, settings.retained_bytes)
            undo.enter_context(Turns("retained messages", LOOK_EVERY, look))
            undo.enter_context(metrics_served(settings, ServiceCollector(self._numbers()), self._health))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def broken(self) -> bool:
        """Whether nothing is acknowledged any more, because of a bug, which is in the log."""
        return self.failed.is_set() or self.log.failed is not None

    @property
    def slot(self) -> int:
        """The number of the slot that this collector has."""
        return self._slot.number

    def wait_ready(self, seconds: float) -> bool:
        """Wait until the broker took the subscription; False when `seconds` were not enough."""
        if not self.receiver.ready.wait(seconds):
            return False
        self._slot.joined()
        return True

    def _take_slot(self) -> Slot:
        try:
            return take_slot(self._slots, self._wanted)
        except SlotTaken as error:
            raise CannotStart(str(error)) from error

    def _stop(self) -> None:
        if self.broken:
            self.receiver.stop(0.1)
        elif self._slot.may_leave():
            self.emptied = self.receiver.leave(_DRAIN_WITHIN)
            self._slot.left(self.emptied)
            log.info("slot emptied" if self.emptied else "slot not emptied in time, it keeps the rest", slot=self.slot)
        else:
            self.receiver.stop(END_WITHIN)
            log.info("no other collector, the broker keeps what comes for this one", slot=self.slot)
        self.log.close(END_WITHIN)
        self.collector.join(END_WITHIN)

    def _health(self) -> dict[str, object]:
        return {
            "ready": self.receiver.is_up and not self.broken,
            "slot": self.slot,
            "messages_received": self.receiver.received,
            "messages_in_flight": self.receiver.in_flight,
            "readings_in_flight": self.log.in_flight,
        }

    def _numbers(self) -> Gauges:
        taken, made = self.receiver, self.log
        return {
            "mqtt_messages_received_total": ("messages taken from the broker", lambda: taken.received),
            "mqtt_messages_in_flight": ("messages taken and not acknowledged", lambda: taken.in_flight),
            "mqtt_reconnects_total": ("times a connection to the broker came up again", lambda: taken.reconnects),
            "collect_readings_total": ("readings decoded", lambda: self.collector.readings),
            "collect_dead_letters_total": ("messages and readings refused", lambda: self.collector.dead_letters),
            "collect_readings_in_flight": ("readings not yet on the log", lambda: made.in_flight),
            "collect_records_total": ("records put on the log", lambda: made.records),
            "collect_record_bytes_total": ("bytes of these records", lambda: made.bytes),
            "collect_kafka_seconds_total": ("seconds spent waiting for Kafka", lambda: made.seconds),
            "collect_kafka_retries_total": ("times Kafka was asked again", lambda: made.retries),
            "collect_slot": ("slot of this collector", lambda: self.slot),
            "collect_slots_lost": ("sessions at the broker without a collector", lambda: len(lost_slots(self._slots))),
        }
