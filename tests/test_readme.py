"""The README's lines for the platform's backend work as they are written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Message, Tenant
from tests.conftest import Environment
from tests.support import processes
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.smtp_sink import SMTPSink
from tests.support.waiting import eventually
from tests.support.warm import Warm


def backend_lines() -> str:
    section = (ROOT / "README.md").read_text().split("## The platform's backend")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block.group(1)


def test_the_backends_lines_work_as_written(app: Flask, smtp: SMTPSink, environment: Environment, warm: Warm) -> None:
    port = free_port()
    values = environment(port=port)
    script = backend_lines().replace("localhost:8000", f"127.0.0.1:{port}")
    # The README's commands lie in the checkout's .venv; the tests may run in another one.
    script = script.replace(".venv/bin/flask", str(Path(sys.executable).with_name("flask")))
    everything = values | {"PATH": os.environ["PATH"]}
    with warm(processes.web(port), values) as web:
        processes.wait_for_page(f"http://127.0.0.1:{port}/readyz", web)
        done = subprocess.run(
            ["sh", "-eu", "-c", script], cwd=ROOT, env=everything, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    assert '"state":"cancelled"' in done.stdout  # no worker was quicker than the script
    with warm(processes.WORKER_MAIL, values), warm(processes.CLOCK, values):
        (mail,) = smtp.wait_for(1)
        with app.app_context():
            states = select(Message.state)
            ended = {"cancelled", "sent"}
            eventually(
                lambda: db.session.rollback() or set(db.session.scalars(states)) == ended, "the outcomes are there"
            )
    assert mail.rcpt_to == ("joe@customer.example",)
    (receipt,) = mail.message.iter_attachments()
    assert (receipt.get_filename(), receipt.get_content()) == ("receipt.txt", "Paid in full.\n")
    refused = json.loads(next(line for line in done.stdout.splitlines() if '"results"' in line))["results"][1]
    assert refused["status"] == 422 and "to" in str(refused)
    assert '"subject":"Your order 1001 is on its way"' in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith(f"http://localhost:{port}/launch?token=")
    with app.app_context():
        assert db.session.scalars(select(Tenant.timezone)).one() == "Europe/Berlin"
