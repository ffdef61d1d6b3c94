"""Who plays, and what befalls them when: all of it drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

Deed = Literal["kill", "stillborn", "stop", "quit"]

_DEEDS: Final[dict[Deed, int]] = {"kill": 5, "stillborn": 2, "stop": 3, "quit": 2}
_PUBLISHERS: Final = tuple(
    [("publisher", habit) for habit in ("steady", "restless")]
    + [("sink", habit) for habit in ("steady", "tee", "restless")]
)
_SUBSCRIBERS: Final = tuple(
    [("subscriber", habit) for habit in ("steady", "latest", "iterate", "async", "poll", "lag", "hoard", "restless")]
    + [("source", habit) for habit in ("steady", "latest", "lag", "hoard", "restless")]
)


class Slot(NamedTuple):
    """A place on the stage.

    Attributes:
        name: For people.
        roles: What a participant in it plays: kind or kinds to choose from, and service.
        immortal: Whether nothing befalls it; it survives everybody.
        lossless: Whether its publisher waits for its subscribers.
    """

    name: str
    roles: tuple[tuple[str, str], ...]
    immortal: bool = False
    lossless: bool = False

    def cast(self, rng: random.Random) -> list[dict[str, Any]]:
        """Roles of the next participant in this place."""
        return [self._role(rng, kind, service) for kind, service in self.roles]

    def _role(self, rng: random.Random, kind: str, service: str) -> dict[str, Any]:
        choice = {
            "any publisher": _PUBLISHERS,
            "any subscriber": _SUBSCRIBERS,
            # Each end of a lossless stream has to keep up.
            "lossless sink": (("sink", "steady"),),
            "lossless reader": (("subscriber", "steady"), ("subscriber", "async"), ("source", "steady")),
        }.get(kind, ((kind, "steady"),))
        chosen, habit = rng.choice(choice)
        spec = {"kind": chosen, "service": service, "habit": habit, "seed": rng.getrandbits(32)}
        return spec | {"lossless": True} if self.lossless else spec


STAGE: Final = (
    # Two that survive every publisher.
    Slot("survivor-sdk", (("subscriber", "cam0"),), immortal=True),
    Slot("survivor-gst", (("source", "cam0"),), immortal=True),
    Slot("publisher-0", (("any publisher", "cam0"),)),
    Slot("subscriber-0a", (("any subscriber", "cam0"),)),
    Slot("subscriber-0b", (("any subscriber", "cam0"),)),
    # One that survives every subscriber.
    Slot("survivor-pub", (("publisher", "cam1"),), immortal=True),
    Slot("subscriber-1a", (("any subscriber", "cam1"),)),
    Slot("subscriber-1b", (("any subscriber", "cam1"),)),
    # SDK and plugin, two copies of iceoryx2, in one process, in every combination.
    Slot("both-a", (("subscriber", "cam1"), ("sink", "cam2"))),
    Slot("both-b", (("source", "cam2"), ("publisher", "cam3"))),
    Slot("both-c", (("source", "cam3"), ("subscriber", "cam2"))),
    # Nothing may be lost.
    Slot("lossless-sink", (("lossless sink", "cam4"),), lossless=True),
    Slot("lossless-a", (("lossless reader", "cam4"),), lossless=True),
    Slot("lossless-b", (("lossless reader", "cam4"),), lossless=True),
)


class Blow(NamedTuple):
    """What befalls the participant in a place at a moment.

    Attributes:
        at: Seconds after the beginning.
        slot: Index of the place.
        deed: Killed, killed again and again while it starts, stopped for a while, or told to end.
        lasts: Seconds that it is stopped.
        late: Seconds until the next one starts in its place.
        unburied: Seconds until somebody waits for the killed process.
        births: For "stillborn": how long each of the next ones lives, seconds.
    """

    at: float
    slot: int
    deed: Deed
    lasts: float
    late: float
    unburied: float
    births: tuple[float, ...]


def blows(seed: int, seconds: float, every: float, stage: Sequence[Slot] = STAGE) -> list[Blow]:
    """All that happens in a run of this many seconds, one blow `every` so many on average."""
    rng = random.Random(seed)
    mortal = [index for index, slot in enumerate(stage) if not slot.immortal]
    found, at = [], 0.0
    while (at := at + rng.expovariate(1 / every)) < seconds:
        deed = rng.choices(tuple(_DEEDS), tuple(_DEEDS.values()))[0]
        births = tuple(rng.uniform(0.0, 1.0) for _ in range(rng.randint(1, 3)))
        found.append(
            Blow(
                at,
                rng.choice(mortal),
                deed,
                rng.uniform(0.05, 3.0),
                rng.choice((0.0, rng.uniform(0.0, 1.5))),
                rng.choice((0.0, 0.0, rng.uniform(0.2, 3.0))),
                births if deed == "stillborn" else (),
            )
        )
    return found
