"""A marketplace's dashboard on another site that embeds the portal, as the platform's own would."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, jsonify, render_template, request

from demo.launch_token import launch_token
from demo.web import DASHBOARD_PORT, INBOX_PORT, INSTANCE, PORTAL_URL, make_app, serve

ORIGIN = f"http://127.0.0.1:{DASHBOARD_PORT}"


class Shop(NamedTuple):
    name: str
    plan: str
    admin: str
    email: str


SHOPS = {
    "basil-books": Shop("Basil Books", "basic", "Bea Basil", "bea@basil-books.example"),
    "nordlicht": Shop("Nordlicht Keramik", "pro", "Nils Nordmann", "nils@nordlicht.example"),
    "atlas-outdoor": Shop("Atlas Outdoor", "enterprise", "Ada Atlas", "ada@atlas-outdoor.example"),
}
CHOICES = {"tenant": list(SHOPS), "lang": ["en", "de"], "theme": ["light", "dark"], "role": ["admin", "viewer"]}
DEFAULTS = {"tenant": "nordlicht", "lang": "en", "theme": "light", "role": "admin"}

MENU = {
    "en": ["Orders", "Products", "Customers", "Settings", "Integrations", "Email configuration", "Email logs"],
    "de": ["Bestellungen", "Produkte", "Kunden", "Einstellungen", "Integrationen", "E-Mail-Konfiguration",
           "E-Mail-Protokolle"],
}  # fmt: skip

MAILS = {
    "order_update": ("Send an order update", "Your order 1042 is on its way", "it has left our warehouse today."),
    "vendor_notification": ("Send a vendor notification", "New order 1043", "a customer has just ordered three items."),
    "customer_message": ("Send a customer message", "Your question on order 1042", "the address can still be changed."),
}  # fmt: skip


def make_token(choice: dict[str, str]) -> str:
    """A launch token as the platform's backend makes one."""
    shop = SHOPS[choice["tenant"]]
    return launch_token(
        os.environ["PORTAL_LAUNCH_SECRET"],
        iss=os.environ.get("PORTAL_LAUNCH_ISSUER") or "marketplace",
        sub=f"{choice['tenant']}-{choice['role']}",
        email=shop.email if choice["role"] == "admin" else shop.email.replace("@", ".viewer@"),
        name=shop.admin,
        tenant=choice["tenant"],
        tenant_name=shop.name,
        role=choice["role"],
        plan=shop.plan,
        locale=choice["lang"],
        theme=choice["theme"],
        parent=ORIGIN,
    )


def api_key() -> str:
    """The key that the demo's seed data left for this dashboard; made anew by every start of the demo."""
    path = INSTANCE / "demo.env"
    lines = path.read_text().splitlines() if path.exists() else []
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("DEMO_API_KEY", "").strip("\"'")


def send_mail(tenant: str, kind: str) -> tuple[int, dict[str, Any]]:
    """Ask the portal to send one mail of this kind; its answer as status and JSON object."""
    shop, (_, subject, sentence) = SHOPS[tenant], MAILS[kind]
    text = f"Hello,\n\n{sentence[0].upper()}{sentence[1:]}\n\nKind regards\n{shop.name}\n"
    html = f"<p>Hello,</p><p>{sentence[0].upper()}{sentence[1:]}</p><p>Kind regards<br>{shop.name}</p>"
    to = shop.email if kind == "vendor_notification" else "carla@customer.example"
    body = {"tenant": tenant, "kind": kind, "to": to, "subject": subject, "text": text, "html": html}
    headers = {
        "Authorization": f"Bearer {api_key()}",
        "Content-Type": "application/json",
        "Idempotency-Key": uuid.uuid4().hex,
    }
    call = urllib.request.Request(f"{PORTAL_URL}/api/v1/messages", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(call, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError as error:
        return 502, {"title": f"The portal could not be reached: {error}"}


def create_dashboard() -> Flask:
    """`/` embeds the portal, `/portal-launch` hands out a launch, `/send` does what a shop's backend would."""
    portal_origin = "{0.scheme}://{0.netloc}".format(urlsplit(PORTAL_URL))
    app = make_app(
        f"default-src 'self'; img-src 'self' data:; frame-src {portal_origin}; form-action 'self' {portal_origin}"
    )

    def chosen(values: Any) -> dict[str, str]:
        choice = {name: values.get(name, default) for name, default in DEFAULTS.items()}
        return choice if all(choice[name] in allowed for name, allowed in CHOICES.items()) else abort(400)

    @app.get("/")
    def index() -> str:
        choice = chosen(request.args)
        return render_template(
            "dashboard.html", choice=choice, choices=CHOICES, shops=SHOPS, mails=MAILS, menu=MENU[choice["lang"]],
            launch=f"/portal-launch?{urlencode(choice)}", token=make_token(choice), portal=PORTAL_URL,
            inbox=f"http://127.0.0.1:{INBOX_PORT}/",
        )  # fmt: skip

    @app.post("/portal-launch")
    def portal_launch() -> Response:
        return jsonify(url=f"{PORTAL_URL}/launch", token=make_token(chosen(request.args)))

    @app.post("/send")
    def send() -> tuple[Response, int]:
        kind = request.form.get("kind", "")
        if kind not in MAILS:
            abort(400)
        status, answer = send_mail(chosen(request.form)["tenant"], kind)
        return jsonify(answer), status

    return app


if __name__ == "__main__":
    serve(create_dashboard(), DASHBOARD_PORT)
