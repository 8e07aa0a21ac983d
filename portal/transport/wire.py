"""What every protocol needs of a socket: verified TLS, words for how that fails, and an end to waiting."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from contextlib import suppress
from functools import lru_cache

NO_TLS = "the server speaks no TLS here"
OLD_TLS = "the server's encryption is too old"
LOST_IN_HANDSHAKE = "connection lost in the TLS handshake"

# OpenSSL's names for a handshake that only an older TLS, or a weaker key or signature, would have let succeed.
_TOO_OLD = frozenset({
    "BAD_PROTOCOL_VERSION_NUMBER", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL",
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED", "MODULUS_TOO_SMALL", "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY", "TLSV1_ALERT_PROTOCOL_VERSION", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "UNSUPPORTED_PROTOCOL", "WRONG_SIGNATURE_TYPE", "WRONG_SSL_VERSION",
})  # fmt: skip
# The same of a certificate, in the words of its verification: "EE certificate key too weak".
_TOO_WEAK = re.compile(r"(?:key|algorithm|md) too (?:weak|small)", re.IGNORECASE)


class NoReply(Exception):
    """No usable reply came; `kind` is lost, timeout or tls. The connection is closed.

    `said` is a refusal that the server had sent already when a write to it failed: code and text.
    """

    def __init__(self, kind: str, detail: str = "", said: tuple[int, bytes] | None = None) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.said = said


class Halt:
    """How another thread ends a connection's waits: what is read or written then fails as if the server had gone.

    By a second descriptor of the same connection, so that it never meets a number that is somebody else's by now.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halted = False
        self._second: socket.socket | None = None

    def watch(self, sock: socket.socket) -> None:
        with self._lock:
            self._second = sock.dup()
            if self._halted:
                self._end()

    def forget(self) -> None:
        with self._lock:
            if self._second is not None:
                self._second.close()
                self._second = None

    def halt(self) -> None:
        with self._lock:
            self._halted = True
            self._end()

    def _end(self) -> None:
        if self._second is not None:
            with suppress(OSError):  # the server was faster
                self._second.shutdown(socket.SHUT_RDWR)


@lru_cache(maxsize=8)
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Verified TLS 1.2 or later; `ca_file` adds to the system's authorities. Cached: reading them takes 10 ms."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


def secured(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """The socket under TLS with the server verified as `host`, within the socket's own timeout. Raises NoReply."""
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except TimeoutError as error:
        raise gone(error) from error
    except ssl.SSLCertVerificationError as error:
        words = error.verify_message
        raise NoReply("tls", f"{OLD_TLS} ({words})" if _TOO_WEAK.search(words) else words) from error
    except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        # As anywhere else: it says nothing certain about the settings.
        raise NoReply("lost", LOST_IN_HANDSHAKE) from error
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise NoReply("tls", _handshake(getattr(error, "reason", None) or "")) from error


def gone(error: OSError) -> NoReply:
    """What a socket's error comes to."""
    if isinstance(error, TimeoutError):
        return NoReply("timeout", "no answer in time")
    return NoReply("lost", "connection lost")


def _handshake(reason: str) -> str:
    """Why there was no handshake, by OpenSSL's name for it; the rest of its message would name files and lines."""
    if reason == "WRONG_VERSION_NUMBER":  # what is no TLS at all
        return NO_TLS
    return f"{OLD_TLS} ({reason.lower().replace('_', ' ')})" if reason in _TOO_OLD else "no TLS handshake"
