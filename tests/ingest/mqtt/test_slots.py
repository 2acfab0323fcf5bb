"""Slots: who has which session at the broker, and how one is given up without losing a message."""

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.mqtt.address import Address
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.slots import client_id, lost_slots, take_slot
from lab.rig.broker import free_port
from lab.rig.relay import Relay
from tests.support.brokers import MOSQUITTO, Broker, mosquitto
from tests.support.lines import FILTER, Taker, numbers, send, until


class TestSlots:
    """Lock files."""

    def test_lowest_free(self, tmp_path: Path) -> None:
        """The lowest free slot is given; a released one is given again; a held one is refused."""
        with take_slot(tmp_path) as first, take_slot(tmp_path) as second:
            assert (first.number, second.number) == (0, 1)
            with pytest.raises(BlockingIOError, match="slot 1"):
                take_slot(tmp_path, 1)
        with take_slot(tmp_path) as again:
            assert again.number == 0

    def test_killed_collector_leaves_its_slot(self, tmp_path: Path) -> None:
        """The slot of a process that is gone is lost as long as its session is there, and given first."""
        with take_slot(tmp_path) as first:
            first.joined()
            child = multiprocessing.get_context("spawn").Process(target=hold_for_ever, args=(tmp_path,))
            child.start()
            until(lambda: (tmp_path / "slot-1").exists() and (tmp_path / "slot-1").read_bytes() == b"session\n")
            assert lost_slots(tmp_path) == []
            child.kill()
            child.join()
            assert lost_slots(tmp_path) == [1]
            with take_slot(tmp_path) as third:
                assert third.number == 1

    @pytest.mark.parametrize("damage", [b"", b"\xff\x00", b"a b/c", bytes(5000)])
    def test_damaged_file_is_put_aside(self, tmp_path: Path, damage: bytes) -> None:
        """What cannot be a client id costs the session, is kept for who looks, and stops no collector."""
        with take_slot(tmp_path) as slot:
            first = slot.client_id
        (tmp_path / "client-id-0").write_bytes(damage)
        (tmp_path / "slot-0").write_bytes(damage)
        (tmp_path / "slot-1.old").write_bytes(damage)
        with capture_logs() as said, take_slot(tmp_path) as again:
            assert again.number == 0
            assert again.client_id not in ("", first)
        assert [one["log_level"] for one in said] == ["warning"]
        assert (tmp_path / "client-id-0.damaged").read_bytes() == damage

    def test_client_id_is_kept_and_cannot_be_guessed(self, tmp_path: Path) -> None:
        """A client id is the same after a restart and random between slots and hubs; an old session keeps its own."""
        other = tmp_path / "other"
        other.mkdir()
        with take_slot(tmp_path) as slot:
            first = slot.client_id
        with take_slot(tmp_path) as again:
            assert again.client_id == first
        assert len({first, client_id(tmp_path, 1), client_id(other)}) == 3
        assert len(first) >= 30
        for number, state in enumerate((b"session\n", b"leaving\n", b"joining\n"), start=7):
            (tmp_path / f"slot-{number}").write_bytes(state)
            with take_slot(tmp_path, number) as older:
                assert older.client_id == f"stadspuls-{number}"

    def test_last_one_stays(self, tmp_path: Path) -> None:
        """Of two one may leave, and not both; one that has not subscribed yet does not count as staying."""
        with take_slot(tmp_path) as first, take_slot(tmp_path) as second:
            first.joined()
            assert not first.may_leave()
            second.joined()
            assert first.may_leave()
            assert not second.may_leave()

    def test_emptied_slot_is_forgotten(self, tmp_path: Path) -> None:
        """A slot that was emptied is not lost; one that could not be emptied is."""
        for empty, lost in ((True, []), (False, [0])):
            with take_slot(tmp_path) as slot:
                slot.joined()
                slot.left(empty)
            assert lost_slots(tmp_path) == lost


def hold_for_ever(directory: Path) -> None:
    """Be a collector that never ends by itself."""
    with take_slot(directory) as slot:
        slot.joined()
        multiprocessing.Event().wait()


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed")
class TestLeaving:
    """Two slots on one Mosquitto become one."""

    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Broker]:
        """A Mosquitto that runs."""
        made = mosquitto(tmp_path).start()
        yield made
        made.stop()

    @pytest.mark.parametrize("options", ["", "?version=5"])
    def test_nothing_lost(self, broker: Broker, options: str) -> None:
        """Messages before, while and after one of two leaves: each arrives, and nobody waits for the one that left."""
        takers = [Taker(self.slot(broker, number, options)) for number in (0, 1)]
        with ExitStack() as undo:
            undo.callback(takers[0].stop)
            send(broker, 0, 1_000, options)
            leaving = takers[1].receiver
            assert leaving.leave(20)
            send(broker, 1_000, 2_000, options)
            until(lambda: sum(len(taker.taken) for taker in takers) == 2_000)
            found = sorted(payload for taker in takers for payload in taker.payloads())
            assert found == sorted(numbers(0, 2_000))
            assert len(takers[0].taken) > len(takers[1].taken)

    @pytest.mark.parametrize("options", ["", "?version=5"])
    def test_cut_off_while_it_leaves(self, broker: Broker, options: str) -> None:
        """
        The network is cut while a slot leaves: it receives nothing, but the broker still has messages for it.

        It takes them once the network is back; only then does the broker forget its session.
        """
        port = free_port()
        with Relay(("127.0.0.1", port), ("127.0.0.1", broker.port)) as relay, ExitStack() as undo:
            cut_off = Receiver(Address.parse(f"mqtt://127.0.0.1:{port}{options}"), [FILTER], "slot-1", "group")
            takers = [Taker(self.slot(broker, 0, options)), Taker(cut_off)]
            undo.callback(takers[0].stop)
            relay.cut()
            send(broker, 0, 1_000, options)
            threading.Timer(4.0, relay.mend).start()
            assert cut_off.leave(20)
            until(lambda: sum(len(taker.taken) for taker in takers) == 1_000)
            assert sorted(payload for taker in takers for payload in taker.payloads()) == sorted(numbers(0, 1_000))

    def test_what_waits_is_taken(self, broker: Broker) -> None:
        """A lost slot's messages are taken by whoever drains it, not lost by who had no time to look."""
        first, second = (Taker(self.slot(broker, number, ""), acknowledge=number == 0) for number in (0, 1))
        second.stop(0)
        send(broker, 0, 1_000, "")
        hasty = Taker(self.slot(broker, 1, ""))
        assert not hasty.receiver.leave(0)
        drain = Taker(self.slot(broker, 1, ""))
        assert drain.receiver.leave(20)
        until(lambda: len({*first.payloads(), *hasty.payloads(), *drain.payloads()}) >= 1_000)
        assert sorted({*first.payloads(), *hasty.payloads(), *drain.payloads()}) == sorted(numbers(0, 1_000))
        assert first.stop()

    def slot(self, broker: Broker, number: int, options: str) -> Receiver:
        """Make a receiver of a slot."""
        return Receiver(broker.address(options), [FILTER], f"slot-{number}", "group")
