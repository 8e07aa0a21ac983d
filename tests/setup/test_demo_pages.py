"""The demo's inbox and dashboard: what they show, what they hand out, and to whom."""

import re
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey

from demo.dashboard import ORIGIN, create_dashboard
from demo.inbox import Mailbox, create_inbox
from demo.mail_account import Account

LOCAL = {"base_url": "http://127.0.0.1/"}
SECRET = "d" * 40


def mail(subject: str, text: str, html: str = "") -> bytes:
    message = EmailMessage()
    message["From"] = "Grüße <shop@shop.example>"
    message["To"] = "ada@customer.example"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message.as_bytes()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox(kept=3)


@pytest.fixture
def inbox(mailbox: Mailbox, tmp_path: Path) -> FlaskClient:
    return create_inbox(mailbox, Account(tmp_path / "account.json")).test_client()


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("PORTAL_LAUNCH_SECRET", SECRET)
    return create_dashboard().test_client()


def test_an_empty_inbox_says_what_to_do(inbox: FlaskClient) -> None:
    assert "No mail yet" in inbox.get("/", **LOCAL).text


def test_the_newest_mail_stands_first_and_the_oldest_goes(inbox: FlaskClient, mailbox: Mailbox) -> None:
    for number in range(1, 5):
        mailbox.add("shop@shop.example", ["ada@customer.example"], mail(f"Mail {number}", "text"))
    listed = inbox.get("/messages.json", **LOCAL).json["messages"]
    assert [entry["subject"] for entry in listed] == ["Mail 4", "Mail 3", "Mail 2"]
    assert inbox.get("/messages/1.json", **LOCAL).status_code == 404


def test_a_script_reads_body_and_links(inbox: FlaskClient, mailbox: Mailbox) -> None:
    added = mailbox.add(
        "shop@shop.example", ["ada@customer.example"], mail("Hi", "Open http://localhost:8000/verify/a-b_c.\n")
    )
    details = inbox.get(f"/messages/{added.id}.json", **LOCAL).json
    assert details["links"] == ["http://localhost:8000/verify/a-b_c"]
    assert details["from"] == "Grüße <shop@shop.example>"
    assert details["rcpt_to"] == ["ada@customer.example"]


def test_a_mail_can_not_act_on_the_inbox(inbox: FlaskClient, mailbox: Mailbox) -> None:
    added = mailbox.add(
        "a@b.example", ["c@d.example"], mail("<b>", "<script>alert(1)</script>", "<script>alert(2)</script>")
    )
    page = inbox.get(f"/messages/{added.id}", **LOCAL).text
    assert "<script>alert" not in page
    sandbox = re.search(r'sandbox="([^"]*)" srcdoc=', page)
    assert sandbox
    assert "allow-scripts" not in sandbox[1]


def test_a_link_in_a_text_opens_a_new_tab(inbox: FlaskClient, mailbox: Mailbox) -> None:
    added = mailbox.add("a@b.example", ["c@d.example"], mail("Hi", "See http://localhost/x?a=1&b=2, please"))
    page = inbox.get(f"/messages/{added.id}", **LOCAL).text
    assert '<a href="http://localhost/x?a=1&amp;b=2" target="_blank" rel="noopener">' in page


def test_the_dashboard_makes_a_launch_token_as_the_portal_wants_it(dashboard: FlaskClient) -> None:
    page = dashboard.get("/?tenant=atlas-outdoor&lang=de&theme=dark&role=viewer", **LOCAL)
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token
    claims = jwt.decode(token[1], OctKey.import_key(SECRET), algorithms=["HS256"]).claims
    assert claims["tenant"] == "atlas-outdoor"
    assert (claims["locale"], claims["theme"], claims["role"], claims["plan"]) == ("de", "dark", "viewer", "enterprise")
    assert (claims["aud"], claims["parent"]) == ("absender", ORIGIN)
    assert 0 < claims["exp"] - claims["iat"] <= 60
    again = dashboard.post("/portal-launch?tenant=atlas-outdoor", **LOCAL).json["token"]
    assert jwt.decode(again, OctKey.import_key(SECRET), algorithms=["HS256"]).claims["jti"] != claims["jti"]


def test_the_dashboard_is_not_cached_and_has_no_inline_script(dashboard: FlaskClient) -> None:
    page = dashboard.get("/", **LOCAL)
    assert page.headers["Cache-Control"] == "no-store" and "'unsafe" not in page.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son[a-z]+=|style=", page.text)


@pytest.mark.parametrize("path", ["/portal-launch", "/send"])
def test_another_site_gets_nothing_out_of_the_dashboard(dashboard: FlaskClient, path: str) -> None:
    answer = dashboard.post(path, data={"kind": "order_update"}, headers={"Sec-Fetch-Site": "cross-site"}, **LOCAL)
    assert answer.status_code == 403
    assert dashboard.get("/", base_url="http://rebound.example/").status_code == 400


def test_an_unknown_choice_is_refused(dashboard: FlaskClient) -> None:
    assert dashboard.get("/?tenant=nobody", **LOCAL).status_code == 400
