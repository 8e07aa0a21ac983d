"""django-post_office on SQLite. Arguments: `fill DATABASE COUNT`, or `send DATABASE PORT`.

Set up as its README advises for volume: batches of 1,000, its five threads, its log of every mail; and, as ours, SQLite
in WAL mode that writes to the disk at each commit.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

from tests.bench import mails


def configure(database: str, port: int) -> None:
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": database,
                "OPTIONS": {
                    "timeout": 15,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
                },
            }
        },
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        EMAIL_TIMEOUT=60,
        POST_OFFICE={"BATCH_SIZE": 1000, "THREADS_PER_PROCESS": 5, "LOG_LEVEL": 2, "MESSAGE_ID_ENABLED": True},
        USE_TZ=True,
        SECRET_KEY="only for this benchmark",
    )
    django.setup()
    logging.getLogger("post_office").setLevel(logging.WARNING)


def fill(count: int) -> int:
    from post_office import mail

    call_command("migrate", verbosity=0)
    mail.send_many(
        [
            {
                "sender": str(mails.SENDER),
                "recipients": [mails.recipient(number)],
                "subject": mails.subject(number),
                "message": mails.text(number),
                "html_message": mails.html(number),
            }
            for number in range(count)
        ]
    )
    return count


def send() -> float:
    from post_office.mail import send_queued_mail_until_done
    from post_office.models import STATUS, Email

    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        send_queued_mail_until_done(str(Path(folder) / "lock"))
        seconds = time.monotonic() - started
    unsent = Email.objects.exclude(status=STATUS.sent).count()
    if unsent:
        raise SystemExit(f"{unsent} mails were not sent")
    return seconds


def main() -> None:
    action, database, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    configure(database, number if action == "send" else 0)
    print(json.dumps(send() if action == "send" else fill(number)))


if __name__ == "__main__":
    main()
