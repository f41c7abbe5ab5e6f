"""The error catalogue: ``docs/errors.md`` and the page behind every problem's ``type``.

Both come from the error classes. To write the file anew::

    python -c "from hwctl.faces.api.errors_page import errors_markdown as text
    print(text(), end='')" > docs/errors.md
"""

import html
from collections.abc import Iterator

# The HTTP errors exist as classes once this module has been imported.
from hwctl.faces.api.problems import TYPE_PREFIX, title
from hwctl.model.errors import HwctlError

_HELP = {
    "internal": "A fault of hwctl itself. The service's log has the traceback: "
    "`journalctl -u hwctl`. Please report it with that.",
    "config": "Run `hwctl check FILE`: it names file, line, what is wrong and what to do.",
    "bad-request": "Read `detail`: nothing was changed. `/docs` shows what each path takes.",
    "unknown-target": "`hwctl status` or `GET /api/v1/rig` lists every id.",
    "target-busy": "`operation` is the id of the operation that holds the node. Wait for it "
    "(`GET /api/v1/operations/ID`), or cancel it (`DELETE` on the same path).",
    "not-allowed": "The node is protected, or feeds what hwctl itself needs. If that is wrong, "
    "change `protected` in the wiring file.",
    "not-possible": "The state of the rig forbids it now; `detail` says which state.",
    "journal-unavailable": "What could not be journalled is not begun. See `/healthz`: most often "
    "the disk is full or read-only.",
    "device": "See the event list. The other devices go on.",
    "device-not-found": "Check cable, power and `address`; `hwctl wiring draw FILE` shows where it "
    "should be.",
    "device-mismatch": "Compare `driver` and `address` in the wiring file with the board.",
    "device-busy": "Another program or a kernel driver owns it: `hwctl doctor` names it.",
    "device-timeout": "The bus may be held or too long. It is tried again by itself.",
    "device-data": "It answered what cannot be true. The value is shown as not known until it can.",
    "bus": "`hwctl doctor` says what this machine lacks: an overlay, a group, a module. A port "
    "that is taken is reported in this way, too.",
    "host": "Check that the node is on, and that its address and user in the settings are right.",
    "invalid-request": "`errors` lists each fault with its place.",
    "body-too-large": "No command needs more than 64 KiB.",
    "body-too-slow": "Send it again; a whole body must arrive within 15 s.",
    "not-json": "Send it with `Content-Type: application/json`.",
    "unknown-path": "`/docs` lists all paths.",
    "wrong-method": "The `Allow` header lists the methods that this path has.",
    "unauthorised": "`hwctl token create NAME --scope power` makes a token; send it as "
    "`Authorization: Bearer TOKEN`. Through the unix socket none is needed. A wrong token is "
    "answered ever more slowly.",
    "missing-scope": "Make a token with the scope, or for the nodes, that `detail` names.",
    "cross-site": "Open hwctl's own page and do it there, or use a token from a program.",
    "wrong-host": "Use the address that hwctl printed, or its IP address. `names` in `[service]` "
    "of the settings file allows further names.",
    "too-many": "Wait as long as `Retry-After` says.",
}
_INTRO = (
    "Every error that hwctl raises on purpose, on the command line, in the log and over HTTP. "
    "Over HTTP it is a problem document (RFC 9457): `type`, `title`, `status`, `detail`, "
    "`retryable`, `hint`, `where`. Generated from the error classes."
)


def error_classes() -> Iterator[type[HwctlError]]:
    """Each error with a slug of its own, parents first."""
    found: dict[str, type[HwctlError]] = {}
    ahead: list[type[HwctlError]] = [HwctlError]
    while ahead:
        one = ahead.pop(0)
        found.setdefault(one.slug, one)
        ahead.extend(one.__subclasses__())
    yield from found.values()


def errors_markdown() -> str:
    """The text of ``docs/errors.md``."""
    parts = ["# Errors\n", f"{_INTRO}\n"]
    for one in error_classes():
        parts += [
            f"## {one.slug}\n",
            f"{title(one)}.\n",
            f"HTTP status {one.status}; {_retry(one)}.\n",
            f"{_HELP[one.slug]}\n",
        ]
    return "\n".join(parts)


def errors_html() -> str:
    """The same as a page, served at ``/docs/errors``; no script, no inline style."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>hwctl: errors</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/docs.css">',
        '</head><body class="docs"><main><p><a href="/">Dashboard</a> · <a href="/docs">API</a></p>'
        "<h1>Errors</h1>",
        f"<p>{_marked(_INTRO)}</p>",
    ]
    parts += [
        f'<section id="{one.slug}"><h2><a href="{TYPE_PREFIX}{one.slug}">{one.slug}</a></h2>'
        f"<p><strong>{_marked(title(one))}.</strong> "
        f"HTTP status {one.status}; {_retry(one)}.</p><p>{_marked(_HELP[one.slug])}</p>"
        "</section>"
        for one in error_classes()
    ]
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def _retry(error: type[HwctlError]) -> str:
    return "doing the same again may succeed" if error.retryable else "a retry does not help"


def _marked(text: str) -> str:
    """Backticks become code elements."""
    pieces = html.escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )
