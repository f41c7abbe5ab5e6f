"""Every error hwctl raises on purpose.

    HwctlError
    ├── ConfigError              a file says something that cannot be
    ├── RequestError             a command that is refused
    │   ├── UnknownTargetError   404
    │   ├── TargetBusyError      409, another operation holds the node
    │   ├── NotAllowedError      403, protected, or the token's scope does not reach it
    │   ├── NotPossibleError     409, the rig's state forbids it
    │   └── JournalUnavailableError  503, what could not be journalled is not begun
    ├── DeviceError              one device on one bus
    │   ├── DeviceNotFoundError  nothing answers there
    │   ├── DeviceMismatchError  something else answers there
    │   ├── DeviceBusyError      a kernel driver or another program owns it
    │   ├── DeviceTimeoutError   it did not answer in time
    │   └── DeviceDataError      it answered what cannot be true
    ├── BusError                 the bus itself: missing, no permission, gone
    └── HostError                a node did not answer, or answered nonsense

Each carries what happened (the message), ``where`` on the rig, a ``hint`` naming the command or
key that helps, and whether a retry can help.
"""


class HwctlError(Exception):
    """Root of all. ``str()`` gives "where: what"."""

    retryable = False
    """Whether doing the same again later can succeed."""
    status = 500
    """The HTTP status that faces answer with."""
    undelivered = False
    """Whether an order certainly did not reach its device."""
    slug = "internal"
    """The last part of the problem's ``type`` URL, and its heading in docs/errors.md."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(HwctlError, ValueError):
    """A file says something that cannot be. ``where`` is FILE:LINE."""

    slug = "config"


class RequestError(HwctlError):
    """A command that is refused; nothing was changed."""

    status = 400
    slug = "bad-request"


class UnknownTargetError(RequestError, LookupError):
    """No node, outlet, fan, strip or operation of that name."""

    status = 404
    slug = "unknown-target"


class TargetBusyError(RequestError):
    """Another operation holds the node; ``operation`` is its id."""

    status = 409
    slug = "target-busy"
    retryable = True

    def __init__(self, what: str, *, operation: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.operation = operation


class NotAllowedError(RequestError, PermissionError):
    """A protected target, or a caller without the right."""

    status = 403
    slug = "not-allowed"


class NotPossibleError(RequestError):
    """The state of the rig forbids it now."""

    status = 409
    slug = "not-possible"


class JournalUnavailableError(RequestError):
    """The journal cannot be written, so nothing is begun that it would have to record."""

    status = 503
    slug = "journal-unavailable"
    retryable = True


class DeviceError(HwctlError):
    """One device on one bus failed; the others go on."""

    slug = "device"
    kind = "device"
    """The label of ``hwctl_driver_errors_total``."""
    retryable = True


class DeviceNotFoundError(DeviceError, LookupError):
    """Nothing answers at that address (ENODEV, ENXIO and EREMOTEIO all say so)."""

    slug = "device-not-found"
    undelivered = True
    kind = "not-found"


class DeviceMismatchError(DeviceError):
    """Something answers there, but it is another part."""

    slug = "device-mismatch"
    undelivered = True
    kind = "mismatch"


class DeviceBusyError(DeviceError):
    """A kernel driver or another program owns it."""

    slug = "device-busy"
    undelivered = True
    kind = "busy"
    folder = ""
    """The device's own in sysfs, if a kernel driver owns it."""


class DeviceTimeoutError(DeviceError, TimeoutError):
    """It did not answer in time."""

    slug = "device-timeout"
    kind = "timeout"


class DeviceDataError(DeviceError, ValueError):
    """It answered something that cannot be true: all ones, all zeros, out of range."""

    slug = "device-data"
    kind = "data"


class BusError(HwctlError, OSError):
    """The bus itself is missing, forbidden or gone."""

    slug = "bus"
    retryable = True


class HostError(HwctlError, OSError):
    """A node did not answer over the network, or answered nonsense."""

    slug = "host"
    retryable = True
