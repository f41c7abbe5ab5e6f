"""Finding drivers: whatever stands in the entry-point group ``hwctl.drivers``, ours included."""

from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from hwctl.config.problems import listed, meant, quoted
from hwctl.model.drivers import BusKind, DeviceRole, Driver
from hwctl.model.errors import ConfigError

GROUP = "hwctl.drivers"
OWN = "hwctl_drivers"
"""The import package of hwctl's own drivers."""

_LOAD_ERRORS = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    OSError,
    RuntimeError,
)
"""What importing somebody else's module may raise short of ending the process."""


@cache
def _installed() -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        others = found.get(point.name, ())
        if all(other.value != point.value for other in others):
            found[point.name] = (*others, point)
    return found


def forget() -> None:
    """Look again at what is installed: for a process in which that changes."""
    _installed.cache_clear()
    find.cache_clear()


def names() -> tuple[str, ...]:
    """Names of all installed drivers, sorted. Loads none of them."""
    return tuple(_installed())


@cache
def find(name: str) -> Driver:
    """Load the driver called ``name``.

    :raises ConfigError: it is not installed, is there twice, or cannot be loaded.
    """
    points = _installed().get(name, ())
    if not points:
        raise ConfigError(
            f"driver {quoted(name)} is not installed", hint=meant(name, names(), "installed")
        )
    if len(points) > 1:
        raise ConfigError(
            f"driver {quoted(name)} is installed more than once: "
            f"{listed([point.value for point in points])}",
            hint="remove all but one of these packages",
        )
    point = points[0]
    try:
        driver = point.load()
    except _LOAD_ERRORS as error:
        raise ConfigError(
            f"driver {quoted(name)} cannot be loaded: {point.value}: "
            f"{type(error).__name__}: {' '.join(str(error).split())}",
            hint="install what it needs, or reinstall the package that it comes with",
        ) from error
    if not isinstance(driver, Driver):
        raise ConfigError(
            f"driver {quoted(name)} cannot be loaded: {point.value} is no `Driver`",
            hint="its entry point must name an object of `hwctl.model.drivers.Driver`",
        )
    return driver


def all_drivers() -> tuple[Driver, ...]:
    """Every installed driver, sorted by name. :raises ConfigError: one cannot be loaded."""
    return tuple(find(name) for name in names())


def loadable() -> tuple[Driver, ...]:
    """Every installed driver that can be loaded, sorted by name."""
    found = []
    for name in names():
        with suppress(ConfigError):
            found.append(find(name))
    return tuple(found)


def own_drivers() -> tuple[Driver, ...]:
    """Those that come with hwctl, sorted by name. :raises ConfigError: one cannot be loaded."""
    return tuple(
        find(name)
        for name, points in _installed().items()
        if any(point.module.partition(".")[0] == OWN for point in points)
    )


def with_role(role: DeviceRole, bus: BusKind) -> list[str]:
    """The drivers on ``bus`` that can take ``role``; those that cannot be loaded cannot."""
    found = []
    for name in names():
        try:
            driver = find(name)
        except ConfigError:
            continue
        if role in driver.roles and driver.bus == bus:
            found.append(name)
    return found
