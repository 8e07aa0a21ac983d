"""What the rows share: a misbehaving relay, the product's processes."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme
from flask import Flask

from tests.chaos.steps import Run, Start
from tests.conftest import Environment
from tests.support.figures import FULL
from tests.support.hostile_server import HostileServer
from tests.support.processes import Process
from tests.support.warm import Nursery, WarmProcess


@pytest.fixture
def smtp() -> Iterator[HostileServer]:
    """The platform's relay, in place of the well-behaved one."""
    with HostileServer() as server:
        yield server


@pytest.fixture
def start(environment: Environment, nursery: Nursery) -> Iterator[Start]:
    """Start one of the product's processes: `start(processes.WORKER_MAIL, relay_lanes=1)`.

    Short forms fork them; the full forms start them as an operator does.
    """
    with ExitStack() as stack:

        def start(command: list[str], **settings: Any) -> Process | WarmProcess:
            made = environment(**settings)
            process = Process(command, made) if FULL else WarmProcess(nursery, command, made)
            return stack.enter_context(process)

        yield start


@pytest.fixture
def run(app: Flask, smtp: HostileServer, start: Start) -> Run:
    return Run(app, smtp, start)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()
