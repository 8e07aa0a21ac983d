"""The delivery job."""

from __future__ import annotations

from portal.services.delivery import drain as delivery


def drain(lane_id: int) -> None:
    """Send what is due on a lane. An exception reaches RQ, which logs it; the lane's lease brings its mail back."""
    delivery.drain(lane_id)
