"""Finds participants that hang: in a short phase, or without frames from a publisher that sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.chaos.player import Part, Player

FRAMES_WITHIN: Final = 3.0
"""A survivor with a live publisher must get frames again within this many seconds."""

_SOON_DONE: Final = {"begin": 20.0, "opening": 12.0, "sending": 3.0, "working": 5.0, "closing": 8.0}
# A lossless publisher whose memory grows waits for a dead reader with unread frames, but not indefinitely.
_SOON_DONE_WITHOUT_LOSS: Final = {"sending": 8.0, "closing": 10.0}
_SILENCE: Final = 15.0


def hanging(players: Iterable[Player], now: float, patience: float = 1.0) -> list[tuple[Player, str]]:
    """Return the participants that hang now, and in which way; `patience` is a factor of all limits."""
    there = [player for player in players if player.is_there and player.stopped_at is None]
    found = []
    for player in there:
        rest = now - max(player.last_line, player.resumed)
        if rest > _SILENCE * patience and not player.ending:
            found.append((player, f"has said nothing for {rest:.1f} s"))
            continue
        found += [(player, why) for part in player.parts if (why := _why(player, part, there, players, now, patience))]
    return found


def _why(
    player: Player, part: Part, there: list[Player], players: Iterable[Player], now: float, patience: float
) -> str | None:
    beat = part.beat
    # Time before it was stopped, or before its last report, does not count.
    if beat is None or beat.at < player.resumed:
        return None
    service = part.spec["service"]
    spent = beat.at - max(beat.since, player.resumed)
    bounds = _SOON_DONE | _SOON_DONE_WITHOUT_LOSS if part.spec.get("lossless") else _SOON_DONE
    bound = bounds.get(beat.phase)
    if bound is not None and spent > bound * patience:
        is_held_up = part.spec.get("lossless") and _has_stopped_reader(players, service, now)
        if is_held_up and beat.phase in ("sending", "closing"):
            return None
        return f"{part.spec['kind']} of {service!r} has been at {beat.phase} for {spent:.1f} s"
    if beat.phase == "waiting" and spent > FRAMES_WITHIN * patience:
        flowing = _flowing(there, service, now)
        if flowing is not None and beat.at - flowing > FRAMES_WITHIN * patience:
            flows = beat.at - flowing
            return f"{part.spec['kind']} got nothing of {service!r} for {spent:.1f} s, which flows for {flows:.1f} s"
    return None


def _flowing(there: list[Player], service: str, now: float) -> float | None:
    """Return the time since which a publisher of the service sends."""
    for player in there:
        for part in player.parts:
            if part.publishes and part.spec["service"] == service:
                since = part.flowing_since(now, 1.0)
                if since is not None:
                    return max(since, player.resumed)
    return None


def _has_stopped_reader(players: Iterable[Player], service: str, now: float) -> bool:
    """Return whether a lossless publisher may wait for a subscriber that is, or just was, stopped."""
    readers = [
        player
        for player in players
        if any(part.spec["service"] == service and not part.publishes for part in player.parts)
    ]
    return any(player.stopped_at is not None or now - player.resumed < FRAMES_WITHIN for player in readers)
