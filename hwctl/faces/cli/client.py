"""How commands reach the service: its unix socket, or ``--url`` with ``--token`` and ``--ca``."""

import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from hwctl.engine.places import socket_path
from hwctl.model.errors import HwctlError

TIMEOUT_S = 10.0


class ServiceError(HwctlError):
    """The service refused, or cannot be reached."""


@dataclass(slots=True)
class Client:
    """One connection. ``url`` empty: the unix socket.

    ``ca``: PEM of the authority that signed the service's certificate, or that certificate itself;
    ``None``: the usual public ones.
    """

    url: str = ""
    token: str = ""
    ca: Path | None = None
    _http: httpx.Client | None = field(default=None)

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - any JSON
        return self._call("GET", path, params=query)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        return self._call(method, path, json=body)

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """The data of server-sent events, as they come."""
        try:
            with self._open().stream(
                "GET", path, timeout=None, headers={"Accept": "text/event-stream"}
            ) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise self._refusal(answer)
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line[5:])
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _call(self, method: str, path: str, **rest: Any) -> Any:  # noqa: ANN401
        try:
            answer = self._open().request(method, path, **rest)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status_code >= 400:
            raise self._refusal(answer)
        return answer.json() if answer.content else None

    def _open(self) -> httpx.Client:
        if self._http is None:
            headers = {"Accept": "application/json"}
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
            if self.url:
                self._http = httpx.Client(
                    base_url=self.url, headers=headers, timeout=TIMEOUT_S, verify=self._trust()
                )
            else:
                transport = httpx.HTTPTransport(uds=str(socket_path()), verify=False)
                self._http = httpx.Client(
                    base_url="http://localhost", transport=transport, headers=headers,
                    timeout=TIMEOUT_S,
                )  # fmt: skip
        return self._http

    def _trust(self) -> ssl.SSLContext | bool:
        """:raises ServiceError: the file is no certificate."""
        if not self.url.lower().startswith("https:"):
            # Loading the certificates takes 0.1 s that plain HTTP need not spend.
            return False
        if self.ca is None:
            return True
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # ssl.SSLError is one
            raise ServiceError(
                f"{self.ca} cannot be used: {error.strerror or error}",
                hint="--ca and HWCTL_CA name a certificate in PEM",
            ) from error
        # So that the service's own certificate may be named, too, if no authority signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def _refusal(self, answer: httpx.Response) -> ServiceError:
        try:
            problem = answer.json()
            text = problem.get("detail") or problem.get("title") or answer.text
            hint = problem.get("hint")
        except (ValueError, AttributeError):
            return ServiceError(f"{answer.status_code} {answer.text[:200]}")
        return ServiceError(str(text), hint=str(hint or ""))

    def _unreachable(self, error: Exception) -> ServiceError:
        where = self.url or f"the socket {socket_path()}"
        distrust = _caused_by(error, ssl.SSLCertVerificationError)
        if distrust is not None:
            return ServiceError(
                f"the certificate of {where} is not trusted: {distrust.verify_message}",
                hint=_TRUST_HINTS.get(
                    distrust.verify_code,
                    "--ca FILE or HWCTL_CA names the authority that signed it, or itself",
                ),
            )
        wrong = _caused_by(error, ssl.SSLError)
        if wrong is not None:
            return ServiceError(
                f"no TLS with {where} ({wrong.reason or wrong})",
                hint="does the service speak plain HTTP there? Then the address begins with http:",
            )
        hint = "is `hwctl run` running? HWCTL_SOCKET or --url say where it listens"
        if not self.url and _forbidden(socket_path()):
            hint = "your user may not open it: use sudo, or join the group that owns it"
        elif self.url and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            hint = "does the service speak TLS there? Then the address begins with https:"
        return ServiceError(f"no service at {where} ({error})", hint=hint)


_TRUST_HINTS = {
    9: "is the clock of this machine right?",
    10: "renew it on the head, and see whether the clock of this machine is right",
    62: "use a name or address that the certificate has",
    64: "use a name or address that the certificate has",
}
"""By X509_V_ERR: not yet valid, expired, another name, another address; x509_vfy.h of OpenSSL."""

_E = TypeVar("_E", bound=BaseException)


def _caused_by(error: BaseException | None, kind: type[_E]) -> _E | None:
    """The first of that kind among an error and its causes."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _forbidden(path: Path) -> bool:
    return path.exists() and not os.access(path, os.W_OK)
