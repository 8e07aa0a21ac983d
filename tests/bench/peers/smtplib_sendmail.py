"""Python's own smtplib: mails that are bytes already, one connection, `sendmail` for each. Arguments: port, count."""

import json
import smtplib
import sys
import time

from tests.bench import mails


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    ready = [mails.ready_made(number) for number in range(count)]
    started = time.monotonic()
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as connection:
        for number, content in enumerate(ready):
            connection.sendmail(mails.SENDER.address, [mails.recipient(number)], content)
    print(json.dumps(time.monotonic() - started))


if __name__ == "__main__":
    main()
