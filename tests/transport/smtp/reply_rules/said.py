"""What servers say, by the verdict it gets: phase, code and text. None of it is in the collection under tests/data."""

from collections.abc import Callable

import pytest

from portal.transport.smtp.replies import classify


def each(said: dict[tuple[str, str], list[str]]) -> Callable[[str, str, str], None]:
    """A test of each reply."""

    def check(reply: str, action: str, reason: str) -> None:
        phase, code, text = reply.split(" ", 2)
        assert classify(phase, int(code), text)[:2] == (action, reason)

    rows = [pytest.param(reply, *verdict, id=reply) for verdict, replies in said.items() for reply in replies]
    return pytest.mark.any_database(pytest.mark.parametrize(("reply", "action", "reason"), rows)(check))
