"""The dashboard: hand-written HTML, CSS and ES modules. No build step, no address outside."""

from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """One file, as it is served."""

    body: bytes
    media_type: str
    etag: str


def load_assets() -> dict[str, Asset]:
    """All files of the dashboard by name; less than 150 KB together."""
    assets = {}
    for entry in files(__name__).iterdir():
        media_type = _MEDIA_TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            body = entry.read_bytes()
            assets[entry.name] = Asset(body, media_type, f'"{sha256(body).hexdigest()[:16]}"')
    return assets
