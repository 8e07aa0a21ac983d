"""The whole way with nothing but the command line, curl and an SMTP server: tests/whole_way.sh."""

import subprocess
import sys
from pathlib import Path

from flask import Flask

from tests.conftest import Environment
from tests.support import processes
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.smtp_sink import Received, SMTPSink
from tests.support.waiting import eventually
from tests.support.warm import Warm


def test_a_script_does_it_all(app: Flask, smtp: SMTPSink, environment: Environment, warm: Warm, tmp_path: Path) -> None:
    mails = tmp_path / "mails"
    mails.mkdir()

    def keep(mail: Received) -> None:
        """Each mail as a file, as the demo inbox would show it."""
        part = mails / f"{len(smtp.received)}.part"
        part.write_text(f"From: {mail.message['From']}\n\n{mail.text}")
        part.rename(part.with_suffix(".txt"))

    smtp.on_data = keep
    # Prints the newest mail once one more has come than the last time.
    newest = tmp_path / "newest-mail"
    newest.write_text(
        f"#!/bin/sh\nn=$(cat {tmp_path}/seen 2>/dev/null || echo 0)\n"
        f"for _ in $(seq 3000); do [ -f {mails}/$n.txt ] && break; sleep 0.05; done\n"
        f"echo $((n + 1)) > {tmp_path}/seen\ncat {mails}/$n.txt\n"
    )
    newest.chmod(0o755)
    port = free_port()
    base = f"http://localhost:{port}"
    values = environment(port=port)
    commands = (processes.web(port), processes.WORKER_INTERACTIVE, processes.WORKER_MAIL, processes.CLOCK)
    web, *others = [warm(command, values) for command in commands]
    with web, others[0], others[1], others[2]:
        processes.wait_for_page(f"http://127.0.0.1:{port}/readyz", web)
        flask = str(Path(sys.executable).with_name("flask"))
        done = subprocess.run(
            ["tests/whole_way.sh", base, str(newest)],
            cwd=ROOT, env=values | {"FLASK": flask}, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + web.output
    assert "From: Whole Way <hello@whole-way.example>" in done.stdout
    assert '"state":"sent"' in done.stdout
    assert eventually(lambda: len(smtp.received) == 3, "three mails")
