"""The user's two files, read as far as the world needs them."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from hwctl.model.errors import ConfigError
from hwctl.model.settings import DriverUse, Settings
from hwctl.model.wiring import Wiring

SSH_PORT = 22
HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Files:
    """``digest`` tells two states of the files apart."""

    wiring: Wiring
    settings: Settings
    digest: str


def load(config: Path) -> Files:
    """:raises ConfigError: a file is missing or says something that cannot be."""
    settings_text, wiring_text = _both(config)
    try:
        return Files(
            Wiring.model_validate(_toml(wiring_text, config)),
            Settings.model_validate(_toml(settings_text, config)),
            hashlib.sha256(settings_text + b"\0" + wiring_text).hexdigest(),
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{key}: {first['msg']}", where=str(config), hint="`hwctl check` names the line"
        ) from error


def _both(config: Path) -> tuple[bytes, bytes]:
    try:
        settings = config.read_bytes()
        wiring = _toml(settings, config).get("wiring", "")
        return settings, (config.parent / str(wiring)).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            where=str(error.filename or config),
            hint="give the path of a .hwctl.toml whose `wiring` names the other file",
        ) from error


def _toml(text: bytes, config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"not TOML: {error}", where=str(config), hint="`hwctl check` names the line"
        ) from error


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the settings say that a node answers, and what answers there."""

    node: str
    kind: str
    """``http`` or ``ssh``."""
    host: str
    port: int


def endpoints(settings: Settings) -> list[Endpoint]:
    """Of all nodes. :raises ConfigError: a driver whose other end cannot be emulated."""
    found: list[Endpoint] = []
    for node, host in settings.host.items():
        if host.load:
            _check(node, "load", host.load, "node_exporter")
            url = urlsplit(str(host.load.options.get("url", "")))
            if url.hostname:
                found.append(Endpoint(node, "http", url.hostname, url.port or HTTP_PORT))
        if host.control:
            _check(node, "control", host.control, "ssh")
            address = host.control.options.get("address")
            port = host.control.options.get("port", SSH_PORT)
            if address:
                found.append(Endpoint(node, "ssh", str(address), int(port)))
    return found


def _check(node: str, use: str, driver: DriverUse, emulated: str) -> None:
    if driver.driver != emulated:
        raise ConfigError(
            f"there is no emulated far end for driver {driver.driver!r}",
            where=f"host.{node}.{use}",
            hint=f"emulated is {emulated}",
        )
