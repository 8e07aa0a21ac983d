"""Clients that send a byte now and then, behind the proxy that docs/operations.md describes."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from flask import Flask

from portal.services.accounts import launches
from tests.conftest import Environment
from tests.support import processes
from tests.support.figures import Figure, size
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process
from tests.support.waiting import eventually

pytestmark = pytest.mark.any_database

SLOW = 50
PAGES = size(20, 100)
HOST = "mail.marketplace.example"
EXAMPLE = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configuration(folder: Path, proxy: int, web: int) -> Path:
    """The example as it stands, but for ports, the certificate's files and the place of the log."""
    assert EXAMPLE
    server = EXAMPLE[1].replace("listen 443 ssl", f"listen 127.0.0.1:{proxy} ssl")
    server = server.replace("127.0.0.1:8000", f"127.0.0.1:{web}").replace("/etc/ssl/absender", str(folder))
    server = server.replace("/var/log/nginx/error.log", str(folder / "error.log"))
    places = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
    path = folder / "nginx.conf"
    path.write_text(f"{main}events {{ worker_connections 1024; }}\nhttp {{\n{places}{server}}}\n")
    return path


@contextmanager
def dripping(port: int, trust: ssl.SSLContext) -> Iterator[None]:
    """So many clients in the middle of a request, each a byte further whenever its turn comes."""
    ending = threading.Event()
    with ExitStack() as stack:
        clients = []
        for number in range(SLOW):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            client = stack.enter_context(trust.wrap_socket(plain, server_hostname=HOST))
            head = f"POST /sign-in HTTP/1.1\r\nHost: {HOST}\r\n"
            # Half of them in their headers, half in their body.
            client.sendall((head if number % 2 else f"{head}Content-Length: 5000\r\n\r\n").encode())
            clients.append(client)

        def drip() -> None:
            while not ending.wait(0.2):
                for client in clients:
                    try:
                        client.sendall(b"x")
                    except OSError:  # the proxy has lost its patience
                        continue

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(60)


def test_the_example_buffers_and_passes_on_who_asks() -> None:
    assert EXAMPLE
    assert "proxy_request_buffering off" not in EXAMPLE[1] and "proxy_buffering off" not in EXAMPLE[1]
    for header in ("Host $host", "X-Forwarded-Host $host", "X-Forwarded-Proto $scheme", "X-Forwarded-For $remote_addr"):
        assert f"proxy_set_header {header};" in EXAMPLE[1]


@pytest.mark.chaos("50 clients that send a byte now and then, behind the proxy of docs/operations.md")
def test_slow_clients_keep_nobody_out(app: Flask, environment: Environment, tmp_path: Path, figure: Figure) -> None:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(str(tmp_path / "privkey.pem"))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(tmp_path / "fullchain.pem"), append=True)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    web, proxy = free_port(), free_port()
    path = configuration(tmp_path, proxy, web)
    checked = subprocess.run([NGINX, "-t", "-c", str(path)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    values = environment(port=web, base_url=f"https://{HOST}", trusted_proxies=1, hsts_seconds=60)
    seen: dict[str, str] = {}
    with (
        Process(processes.web(web), values) as portal,
        Process([NGINX, "-c", str(path)], values) as server,
    ):
        processes.wait_for_page(f"http://127.0.0.1:{web}/readyz", portal)

        def ask(url: str, form: bytes | None = None, **headers: str) -> str:
            request = urllib.request.Request(f"https://127.0.0.1:{proxy}{url}", form, {"Host": HOST} | headers)
            with opener.open(request, timeout=60) as answer:
                assert answer.headers["Strict-Transport-Security"] == "max-age=60", "the portal knows that it is https"
                assert "X-Frame-Options" not in answer.headers
                seen["policy"] = answer.headers["Content-Security-Policy"]
                return str(answer.read().decode())

        loopback = ssl.create_default_context()
        authority.configure_trust(loopback)
        loopback.check_hostname = False  # it is asked by its address
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=loopback))
        eventually(lambda: _accepts(proxy), f"nginx answers: {server.output}")
        with dripping(proxy, trust):
            with app.app_context():
                token = launches.make_token("acme", parent="https://dashboard.example")
            launched = ask("/launch", f"token={token}".encode())
            assert "Email configuration" in launched
            assert "frame-ancestors https://dashboard.example" in seen["policy"]
            served = sum("Sign in" in ask("/sign-in") for _ in range(PAGES))
        figure(f"{SLOW} slow clients, {served} of {PAGES} pages served meanwhile")
        assert served == PAGES


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
