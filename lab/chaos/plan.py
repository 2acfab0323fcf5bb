"""
What happens during a chaos run, and when: pure, the same for the same seed.

Everything that can happen happens once in each round, in random order. `lab.chaos.disturbances` does it.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Action(StrEnum):
    """What is done to a part."""

    KILL = "kill -9"
    JOIN = "join"
    LEAVE = "leave"
    CUT = "cut off"
    FREEZE = "freeze"
    STOP = "stop and start"
    FILL = "fill the disk of"
    BREAK = "break the rules in"
    TAKE = "take the client id of"


class Part(StrEnum):
    """The part that it is done to."""

    BROKER = "broker"
    COLLECTOR = "collector"
    KAFKA = "kafka"
    WORKER = "worker"
    DATABASE = "database"
    ROLLUP = "roll-up"


CUT_FOR = 20.0  # s without network
FROZEN_FOR = 15.0  # s: longer than Kafka waits for a worker, so that another one takes its partitions
DOWN_FOR = (1.0, 5.0)  # s between the death of a server and its start
BROKEN_FOR = 10.0  # s in which the database refuses readings, or judging
ROUND = 110.0  # s that everything takes once without getting in each other's way too much

USUAL = (
    *((Action.KILL, part) for part in Part if part is not Part.BROKER),
    *((action, part) for action in (Action.JOIN, Action.LEAVE) for part in (Part.COLLECTOR, Part.WORKER)),
    *((Action.CUT, part) for part in (Part.BROKER, Part.KAFKA, Part.DATABASE)),
    *((Action.FREEZE, part) for part in (Part.BROKER, Part.WORKER)),
    *((Action.STOP, part) for part in (Part.COLLECTOR, Part.WORKER, Part.ROLLUP)),
    *((action, Part.DATABASE) for action in (Action.FILL, Action.BREAK)),
    (Action.TAKE, Part.COLLECTOR),
)
POSSIBLE = (*USUAL, (Action.KILL, Part.BROKER))  # that one alone may cost readings: see docs/operations.md


@dataclass(frozen=True, slots=True)
class Event:
    """An action, so many seconds after the beginning, and for how many seconds it lasts where it does."""

    at: float
    action: Action
    part: Part
    seconds: float

    def __str__(self) -> str:
        return f"{self.action} {self.part}"


def plan(seconds: float, seed: int, disturbances: tuple[tuple[Action, Part], ...] = USUAL) -> list[Event]:
    """
    Spread whole rounds of disturbances over so many seconds, the first after a moment.

    >>> [str(event) for event in plan(60, 5, USUAL[:3])]
    ['kill -9 worker', 'kill -9 kafka', 'kill -9 collector']
    >>> plan(60, 5) == plan(60, 5) != plan(60, 6)
    True
    """
    chance = Random(seed)
    rounds = max(1, round(seconds / ROUND))
    order = [action for _ in range(rounds) for action in chance.sample(disturbances, len(disturbances))]
    gap = seconds / (len(order) + 1)
    return [
        Event(gap * (number + 0.5 + chance.random()), action, part, _lasts(action, chance))
        for number, (action, part) in enumerate(order)
    ]


def _lasts(action: Action, chance: Random) -> float:
    lasts = {Action.CUT: CUT_FOR, Action.FREEZE: FROZEN_FOR, Action.FILL: BROKEN_FOR, Action.BREAK: BROKEN_FOR}
    return lasts.get(action, chance.uniform(*DOWN_FOR))
