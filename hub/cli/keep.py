"""
Keeping the figures right: `dead-letters`, `reconcile`, `maintain`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from aggregates.ask.query import BadQuestion
from aggregates.store.store import Store, unnested
from hub.cli.common import NO, app, broker_of, command, end, group, open_store, range_of, stamp
from hub.cli.output import Format, errors, print_table, write
from hub.settings.settings import Settings
from ingest.mqtt.sender import Sender
from streams.rollup.reconcile import reconcile as reconcile_store
from streams.rollup.retention import maintain as maintain_store
from streams.rollup.retention import thaw as thaw_store

LARGEST_REPLAY = 1_000_000  # bytes; with its topic a larger payload is more than a broker takes
letters_app = group("dead-letters", "Messages that could not be read.")


@command(letters_app, "list", "database")
def letters_list(
    settings: Settings, source: str | None = None, reason: str | None = None, limit: int = 100,
    form: Format = "table",
) -> None:  # fmt: skip
    """List what could not be read, the newest first."""
    with open_store(settings) as store:
        found = _letters(store, source, reason, limit)
    columns = ["last_at", "source", "count", "size", "reason", "topic", "payload"]
    rows = [[getattr(letter, name) for name in columns] for letter in found]
    frame = pd.DataFrame(rows, columns=columns)
    frame["payload"] = [(payload or b"")[:80].decode("utf-8", "replace") for payload in frame["payload"]]
    write(frame, form, None, settings.timezone)


@command(letters_app, "replay", "broker", "database")
def letters_replay(
    settings: Settings, source: str | None = None, reason: str | None = None, limit: int = 10_000
) -> None:
    """Publish dead letters again, after what was wrong is repaired; those that fail again are stored again."""
    with open_store(settings) as store, Sender(broker_of(settings)) as sender:
        fits = [letter for letter in _letters(store, source, reason, limit) if letter.size < LARGEST_REPLAY]
        whole = [letter for letter in fits if letter.payload is not None and len(letter.payload) == letter.size]
        for letter in whole:
            sender.publish(letter.topic, letter.payload)
        sender.flush()
        # One that came back meanwhile has another count, and is kept.
        store.rows("delete_dead_letters", **unnested(whole, ("key", "count")))
    errors.print(f"{len(whole)} dead letters published again")


def _letters(store: Store, source: str | None, reason: str | None, limit: int) -> list[Any]:
    """List dead letters, the newest first, as the statement gives them; `reason` is text that the reason contains."""
    asked = {"source": source, "reason": reason, "limit": limit, "after_last_at": None, "after_key": None}
    with store.transaction() as tx:
        return tx.records("list_dead_letters", **asked)


@command(app, "reconcile", "database")
def reconcile(settings: Settings, first: str | None = None, last: str | None = None, repair: bool = False) -> None:
    """Compare every window with a plain aggregation of its readings; exit 1 on a difference."""
    after = stamp("to", last, "UTC").date() if last else datetime.now(UTC).date() + timedelta(days=1)
    with open_store(settings) as store:
        ((first_day,),) = store.rows("read_first_day")
        begin = stamp("from", first, "UTC").date() if first else first_day or after
        found = list(reconcile_store(store, begin, after, repair=repair))
    shown = [(d.day, d.level, d.compared, len(d.windows)) for d in found if d.compared or d.windows]
    print_table(pd.DataFrame(shown, columns=["day (UTC)", "level", "compared", "different"]))
    if any(difference.windows for difference in found):
        end(NO, "differences repaired, the next roll-up writes their hours" if repair else "windows differ")


@command(app, "maintain", "retention", "database")
def maintain(settings: Settings, thaw: bool = False, first: str | None = None, last: str | None = None) -> None:
    """Drop and freeze days beyond the retention, or thaw frozen days."""
    if thaw and not (first and last):
        raise BadQuestion("--thaw needs --from and --to")
    if not thaw and (first or last):
        raise BadQuestion("--from and --to go with --thaw: what is frozen is decided by the retention")
    with open_store(settings) as store:
        if thaw:
            days = thaw_store(store, *(day.date() for day in range_of(first, last, "UTC")))
        else:
            days = maintain_store(store, datetime.now(UTC), settings.retention)
    errors.print(f"{len(days)} days {'thawed' if thaw else 'frozen'}")
