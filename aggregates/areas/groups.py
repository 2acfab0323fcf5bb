"""
Groups: named sets of sensors with signs and directions, whose figures are those of a sensor `group/NAME`.

`stadspuls groups import` reads them out of TOML. The roll-up asks here of which series they are made by now, and stores
their hours and days as those of a sensor whose lanes these series are (`aggregates/sql/groups.sql`).
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from aggregates.areas.codes import is_code
from aggregates.store.statements import statement_text
from aggregates.store.store import Store, Transaction, unnested
from ingest.vocabulary.quantities import QUANTITIES

PREFIX = "group/"  # of the id of a group's sensor


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sensor, or one lane or direction of it; what it counts is added, or with sign -1 subtracted."""

    sensor: Annotated[str, msgspec.Meta(pattern="^(?!group/)[^/]+/.")]
    lane: str = ""
    sign: Literal[1, -1] = 1


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Members, those that stand in an area, or both; of some quantities, or of all that they measure."""

    title: Annotated[str, msgspec.Meta(min_length=1)]
    members: tuple[Member, ...] = ()
    area: str | None = None
    quantities: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not (self.members or self.area):
            raise ValueError("neither members nor area, expected at least one")
        if self.area is not None and not is_code(self.area):
            raise ValueError(f"area {self.area!r}, expected a code as GM0014, WK001400 or BU00140002")
        if unknown := set(self.quantities or ()) - QUANTITIES.keys():
            raise ValueError(f"quantity {min(unknown)!r}, expected some of {', '.join(QUANTITIES)}")
        if len({(one.sensor, one.lane) for one in self.members}) < len(self.members):
            raise ValueError("a member twice, expected each sensor and lane once")


# A file has a table for each group.
Groups = dict[Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]*$")], Group]


def import_groups(store: Store, groups: Mapping[str, Group]) -> None:
    """Make these the groups of the hub; those that are not among them are deleted. Raises `StoreError`."""
    with store.transaction(writing=True) as tx:
        tx.rows("lock_roll_up")
        tx.rows("delete_groups", names=list(groups))
        for name, group in groups.items():
            quantities = None if group.quantities is None else list(group.quantities)
            tx.rows("upsert_group", name=name, title=group.title, quantities=quantities, area=group.area)
            tx.rows("delete_group_members", name=name)
            tx.rows("insert_group_members", name=name, **unnested(group.members, Member.__struct_fields__))
        resolve_groups(tx)


def resolve_groups(tx: Transaction) -> None:
    """Find the series that groups are made of by now; where they changed, the roll-up makes the evidence anew."""
    if tx.rows("has_groups") == [(True,)]:
        tx.script(statement_text("resolve_groups"))
