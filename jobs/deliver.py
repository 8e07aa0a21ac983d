"""The delivery job."""

from __future__ import annotations

from portal.services.delivery import drain as delivery
from portal.services.delivery.place import Place


def drain(lane_id: int, place: Place | None = None) -> None:
    """Send what is due on a lane. What it raises ends in the worker's log; the lane's lease brings its mail back."""
    delivery.drain(lane_id, place=place)
