"""HTTP: the interface for programs, and the server that also carries dashboard and metrics."""

from hwctl.faces.api.app import create_app
from hwctl.faces.api.door import OneTimeKey
from hwctl.faces.api.server import ApiServer

__all__ = ["ApiServer", "OneTimeKey", "create_app"]
