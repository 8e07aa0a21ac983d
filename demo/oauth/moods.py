"""How a stand-in behaves at the moment; set by its page, by DEMO_OAUTH, or as attributes by a test."""

from __future__ import annotations

import threading

from demo.oauth.faults import FAULTS, Fault

PLACES = ("sign_in", "tokens", "sending", "smtp")
TOKEN_SECONDS = 3599
_NUMBERS = ("token_seconds", "slow_seconds", "retry_after")


class Moods:
    """One mood per place: "" is well, others stand in `FAULTS`; an unknown one raises ValueError.

    `token_seconds`: an access token's life. `slow_seconds`: how late slow answers are. `retry_after`: in seconds.
    """

    sign_in: str
    tokens: str
    sending: str
    smtp: str
    token_seconds: int
    slow_seconds: int
    retry_after: int

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._enough = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Well everywhere, as at the start."""
        self._enough.clear()
        for place in PLACES:
            setattr(self, place, "")
        self.token_seconds, self.slow_seconds, self.retry_after = TOKEN_SECONDS, 45, 17

    def __setattr__(self, name: str, value: object) -> None:
        if name in PLACES and value and value not in FAULTS[self.provider][name]:
            raise ValueError(f"{self.provider}.{name} has no mood {value!r}")
        super().__setattr__(name, value)

    def fault(self, place: str) -> Fault | None:
        return FAULTS[self.provider][place].get(getattr(self, place))

    def linger(self) -> None:
        """Be slow, unless the server is about to end."""
        self._enough.wait(self.slow_seconds)

    def end_waits(self) -> None:
        """Let all slow answers go, now and until the next `reset`."""
        self._enough.set()


def read_moods(text: str, moods: dict[str, Moods]) -> None:
    """Set moods from text such as `gmail.tokens=throttled microsoft365.token_seconds=5`. Raises ValueError."""
    for item in text.split():
        where, is_set, value = item.partition("=")
        provider, _, name = where.partition(".")
        if not is_set or provider not in moods or name not in (*PLACES, *_NUMBERS):
            raise ValueError(f"DEMO_OAUTH: {item!r} is none of provider.place=mood")
        setattr(moods[provider], name, int(value) if name in _NUMBERS else value)
