"""The mail that everybody sends: two parts, about 2.8 kB with its headers, a few letters beyond ASCII."""

from datetime import UTC, datetime

from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import MailContent, Stamp, build

SENDER = Mailbox("Marketplace", "notifications@marketplace.example")

_LINES = [(f"{number} x Stoneware mug, glaze no. {number}", f"{number * 12},90 €") for number in range(1, 12)]


def subject(number: int) -> str:
    return f"Your order {10_000 + number} is on its way"


def recipient(number: int) -> str:
    return f"customer{number}@customer.example"


def text(number: int) -> str:
    items = "\n".join(f"  {item:<45}{price:>10}" for item, price in _LINES)
    return (
        f"Hello,\n\nyour order {10_000 + number} left our workshop today. Here is what is in the parcel:\n\n{items}\n\n"
        "It usually takes two to three working days. You can follow it at any time here:\n"
        f"https://shop.example/orders/{10_000 + number}\n\nWith kind regards\nJürgen from Nordlicht Keramik\n"
    )


def html(number: int) -> str:
    items = "\n".join(f"<tr><td>{item}</td><td>{price}</td></tr>" for item, price in _LINES)
    return (
        '<!doctype html>\n<html lang="en">\n<body style="font-family: sans-serif; color: #222">\n'
        f"<h1>Your order {10_000 + number} is on its way</h1>\n"
        "<p>Hello,</p>\n<p>your order left our workshop today. Here is what is in the parcel:</p>\n"
        f'<table cellpadding="4">\n{items}\n</table>\n'
        "<p>It usually takes two to three working days. You can follow it at any time:</p>\n"
        f'<p><a href="https://shop.example/orders/{10_000 + number}">Where is my parcel?</a></p>\n'
        "<p>With kind regards<br>Jürgen from Nordlicht Keramik</p>\n</body>\n</html>\n"
    )


def ready_made(number: int) -> bytes:
    """The whole mail as bytes, for peers that only have to hand it over."""
    return build(
        MailContent(subject=subject(number), text=text(number), html=html(number)),
        Stamp(datetime.now(UTC).replace(microsecond=0), f"<bench.{number}@marketplace.example>", f"{number:032x}"),
        sender=SENDER,
        to=Mailbox("", recipient(number)),
    )
