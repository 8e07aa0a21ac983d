"""A client that keeps its connection, as a browser does; it follows nothing and renders nothing."""

import http.client
from types import TracebackType
from typing import NamedTuple, Self


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def size(self) -> int:
        """Octets on the wire: status line, headers, and the body as it was sent."""
        return len(f"HTTP/1.1 {self.status} OK\r\n") + len(bytes(self.headers)) + len(self.body)


class Browser:
    def __init__(self, port: int, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: bytes, content_type: str) -> Answer:
        return self._ask("POST", path, body, {"Content-Type": content_type})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        for last in (False, True):
            try:
                self._connection.request(method, path, body, self.headers | headers)
                response = self._connection.getresponse()
                return Answer(response.status, response.headers, response.read())
            except (http.client.RemoteDisconnected, ConnectionError):
                self._connection.close()  # the server has let go of an idle connection: a browser dials anew, once
                if last:
                    raise
        raise AssertionError("not reached")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
