"""docs/embedding.md, word for word: its files in an empty folder are a dashboard with the portal in a frame."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask, render_template
from playwright.sync_api import Page, expect

from demo.dashboard import create_dashboard
from portal.services.accounts import api_keys, tenants
from tests.browser.site import ROOT, Site, another_page
from tests.conftest import SECRETS
from tests.support.ports import free_port
from tests.support.processes import Process, answers, python, wait_for_page
from tests.support.waiting import eventually

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

DOCUMENT = (ROOT / "docs/embedding.md").read_text()
HOST_PAGE_LINES = 45  # page and script together


def files() -> dict[str, str]:
    """What the document has its reader save, by name."""
    return dict(re.findall(r"^\*\*`([\w.]+)`\*\*.*?^```\w+\n(.*?)^```", DOCUMENT, re.M | re.S))


def commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.M | re.S)


def test_the_demo_is_made_of_the_documents_files(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = files()
    assert sorted(saved) == ["dashboard.py", "embed.js", "index.html", "launch_token.py"]
    assert saved["embed.js"] == (ROOT / "demo/static/embed.js").read_text()
    assert saved["launch_token.py"] == (ROOT / "demo/launch_token.py").read_text()
    demo: Flask = create_dashboard()
    with demo.app_context():
        embedded = render_template("_portal.html", title="Email configuration", launch="/portal-launch")
    assert embedded.strip() in saved["index.html"]
    monkeypatch.setenv("PORTAL_LAUNCH_SECRET", "d" * 40)
    page = demo.test_client().get("/", base_url="http://127.0.0.1/").text
    assert "/static/embed.js" in page and 'data-portal="logs"' in page
    assert len(embedded.splitlines()) == 2 and all(
        re.sub(r'data-launch="[^"]*"', "", line) in re.sub(r'data-launch="[^"]*"', "", page)
        for line in embedded.splitlines()
    )


def test_page_and_script_are_short_enough_to_be_read() -> None:
    assert len((files()["index.html"] + files()["embed.js"]).splitlines()) <= HOST_PAGE_LINES


class Followed:
    """The document followed in an empty folder, with this test's addresses in place of its own."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"

    def here(self, text: str) -> str:
        return text.replace("http://localhost:8000", self.site.url).replace("8080", str(self.port))

    @contextmanager
    def running(self) -> Iterator[None]:
        (self.folder / "instance").mkdir()
        (self.folder / "instance/portal.env").write_text(
            f"# by bin/run\nPORTAL_LAUNCH_SECRET={SECRETS['launch_secret']}\n"
        )
        (self.folder / "editor").mkdir()
        for name, text in files().items():
            (self.folder / "editor" / name).write_text(self.here(text))
        start, serve, _ = commands()
        script = "\n".join([start, "cp ../editor/* .", f"exec {serve}"])
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        process = subprocess.Popen(["sh", "-eu", "-c", script], cwd=self.folder, env=clean, stderr=subprocess.PIPE)
        try:
            eventually(lambda: answers(self.url) or process.poll() is not None, "the dashboard answers")
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


@pytest.fixture
def followed(site: Site, tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(site, tmp_path)
    with followed.running():
        yield followed


def test_followed_word_for_word_it_shows_the_settings_in_the_frame(
    site: Site, page: Page, followed: Followed, complaints: list[str]
) -> None:
    page.goto(followed.url)
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email configuration")
    expect(frame.locator("body")).to_contain_text("Atlas Outdoor")
    page.wait_for_function("parseInt(document.querySelector('iframe').style.height) > 600")
    page.get_by_role("link", name="Email logs").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email logs")
    # Whoever is at a page keeps it when the session ends and the dashboard launches anew.
    with another_page(frame), page.expect_response(lambda answer: answer.url.endswith("/launch")) as launched:
        page.frames[1].evaluate(
            "origin => parent.postMessage({type: 'portal:session-ended'}, origin)", followed.url.rstrip("/")
        )
    assert launched.value.status == 200
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email logs")


def test_its_list_of_parents_is_set_as_it_says_and_decides(site: Site, page: Page, followed: Followed) -> None:
    with site.app.app_context():
        key = api_keys.create("backend")
        tenants.upsert("atlas", name="Atlas Outdoor", frame_ancestors=["https://dashboard.example"])
    with page.expect_event("requestfailed", lambda request: "/launch" in request.url) as refused:
        page.goto(followed.url)
    assert "BLOCKED_BY_RESPONSE" in (refused.value.failure or "")
    environment = {"KEY": key, "PATH": os.environ["PATH"]}
    script = followed.here(commands()[2])
    done = subprocess.run(["sh", "-eu", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Atlas Outdoor" in done.stdout, done
    page.goto(followed.url)
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text("Email configuration")


def test_the_demo_dashboard_opens_settings_and_log_in_its_frame(site: Site, page: Page, complaints: list[str]) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
        "PORTAL_PORT": str(port - 1),  # the dashboard takes the next one
        "PORTAL_BASE_URL": site.url,
        "PORTAL_LAUNCH_SECRET": SECRETS["launch_secret"],
    }
    with Process(python("-m", "demo.dashboard"), environment) as dashboard:
        wait_for_page(f"http://127.0.0.1:{port}/", dashboard)
        page.goto(f"http://127.0.0.1:{port}/?tenant=atlas-outdoor&lang=de&theme=dark")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading", level=1)).to_have_text("E-Mail-Konfiguration")
        expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
        page.wait_for_function("parseInt(document.querySelector('iframe').style.height) > 600")
        page.context.clear_cookies()
        menu = page.get_by_role("navigation", name="Dashboard")
        menu.get_by_role("link", name="E-Mail-Protokolle").click()
        expect(frame.get_by_role("heading", level=1)).to_have_text("E-Mail-Protokolle")
        expect(menu.get_by_role("link", name="E-Mail-Protokolle")).to_have_attribute("aria-current", "page")
        page.get_by_label("Shop").select_option("basil-books")
        expect(frame.locator("body")).to_contain_text("Basil Books")
