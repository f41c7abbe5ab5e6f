"""How commands reach the service: its unix socket, or ``--url`` with ``--token``."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from hwctl.engine.places import socket_path
from hwctl.model.errors import HwctlError

TIMEOUT_S = 10.0


class ServiceError(HwctlError):
    """The service refused, or cannot be reached."""


@dataclass(slots=True)
class Client:
    """One connection. ``url`` empty: the unix socket."""

    url: str = ""
    token: str = ""
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
                # Loading the certificates takes 0.1 s that plain HTTP need not spend.
                secure = self.url.startswith("https:")
                self._http = httpx.Client(
                    base_url=self.url, headers=headers, timeout=TIMEOUT_S, verify=secure
                )
            else:
                transport = httpx.HTTPTransport(uds=str(socket_path()), verify=False)
                self._http = httpx.Client(
                    base_url="http://localhost", transport=transport, headers=headers,
                    timeout=TIMEOUT_S,
                )  # fmt: skip
        return self._http

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
        permission = not self.url and _forbidden(socket_path())
        hint = (
            "your user may not open it: use sudo, or join the group that owns it"
            if permission
            else "is `hwctl run` running? HWCTL_SOCKET or --url say where it listens"
        )
        return ServiceError(f"no service at {where} ({error})", hint=hint)


def _forbidden(path: Path) -> bool:
    return path.exists() and not os.access(path, os.W_OK)
