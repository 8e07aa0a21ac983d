"""The page of the demo's mail provider: what a merchant finds at Google's, and what to enter in the portal."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, request

from demo.mail_account import ADDRESS, FEW_MAILS, Account
from demo.web import DASHBOARD_PORT, PROVIDER_STARTTLS_PORT, PROVIDER_TLS_PORT

_SHOP = f"http://127.0.0.1:{DASHBOARD_PORT}/?tenant=atlas-outdoor"


def account_page(account: Account) -> Blueprint:
    """`/provider`: shows the account and changes it."""
    page = Blueprint("provider", __name__)

    def show(app_password: str = "") -> str:
        return render_template(
            "provider.html", account=account, address=ADDRESS, few=FEW_MAILS, app_password=app_password,
            tls_port=PROVIDER_TLS_PORT, starttls_port=PROVIDER_STARTTLS_PORT, shop=_SHOP,
        )  # fmt: skip

    @page.get("/provider")
    def index() -> str:
        return show()

    @page.post("/provider")
    def change() -> str | Response:
        match request.form.get("do"):
            case "new_app_password":
                # Shown by this answer and nowhere else; a redirect would have to keep it.
                return show(account.new_app_password())
            case "change_password":
                account.change_password()
            case "few_mails":
                account.set_daily_limit(FEW_MAILS)
            case "no_limit":
                account.set_daily_limit(None)
            case _:
                abort(400)
        return redirect("/provider", 303)  # type: ignore[return-value]  # werkzeug's Response, as Flask takes it

    return page
