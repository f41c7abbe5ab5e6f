"""Who occupies what: buses, addresses and pins, each by one device only."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hwctl.config.board import Pin
from hwctl.config.draft import Use, WiringDraft
from hwctl.config.problems import Problem, meant, quoted
from hwctl.config.toml_lines import KeyPath
from hwctl.model.errors import ConfigError
from hwctl.model.wiring import Bus

KERNEL_PINS: dict[str, dict[int, str]] = {
    "/dev/i2c-0": {0: "SDA", 1: "SCL"},
    "/dev/i2c-1": {2: "SDA", 3: "SCL"},
    "/dev/spidev0.": {9: "MISO", 10: "MOSI", 11: "SCLK"},
    "/dev/spidev0.0": {8: "CE0"},
    "/dev/spidev0.1": {7: "CE1"},
    "/dev/spidev1.": {19: "MISO", 20: "MOSI", 21: "SCLK"},
    "/dev/spidev1.0": {18: "CE0"},
    "/dev/spidev1.1": {17: "CE1"},
    "/dev/spidev1.2": {16: "CE2"},
}
"""GPIO lines that a Raspberry Pi's kernel takes for a bus, by the start of the bus's path
(gpiozero's ``pins/data.py``)."""
SPI0_SELECTS = {8: "CE0", 7: "CE1"}
"""`dtparam=spi=on` takes both chip selects, whichever is used (unverified)."""
CONSOLE = {14: "TXD", 15: "RXD"}
"""The serial console, and UART0 (gpiozero's ``pins/data.py``)."""

Pins = list[tuple[Pin, KeyPath]]
"""A device's pins, with the keys that name them."""


def check_claims(draft: WiringDraft) -> Iterator[Problem]:
    """Every problem of buses, addresses and pins."""
    yield from _buses(draft)
    pins: dict[str, Pins] = {}
    yield from _pins(draft, pins)
    yield from _clashes(draft, pins)


def chip_of(name: str, bus: Bus) -> str:
    """What makes two buses the same one."""
    return bus.path or name


def _buses(draft: WiringDraft) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, bus in draft.wiring.bus.items():
        other = seen.setdefault(chip_of(name, bus), name)
        if other != name:
            yield draft.source.problem(
                ("bus", name, "path"),
                f"{quoted(bus.path)} is both bus {other} ({draft.source.place(('bus', other))}) "
                f"and bus {name} ({draft.source.place(('bus', name))})",
                "keep one of the two, and name it in all devices",
            )
    for name, driver in draft.drivers.items():
        entry = draft.wiring.device[name]
        wanted = driver.bus
        here: KeyPath = ("device", name, "bus")
        fitting = [one for one, bus in draft.wiring.bus.items() if bus.kind == wanted]
        if wanted == "net":
            if entry.bus is not None:
                yield draft.source.problem(
                    here,
                    f"driver {quoted(driver.name)} works over the network and takes no bus",
                    "remove `bus`",
                )
        elif entry.bus is None:
            yield draft.source.problem(
                here,
                f"`bus` is missing in [device.{name}]: driver {quoted(driver.name)} needs "
                f"one of kind {wanted}",
                meant("", fitting, f"buses of kind {wanted}"),
            )
        elif entry.bus not in draft.declared("bus"):
            yield draft.source.problem(
                here,
                f"there is no bus {quoted(entry.bus)}",
                meant(entry.bus, fitting, f"buses of kind {wanted}"),
            )
        elif entry.bus in draft.wiring.bus and entry.bus not in fitting:
            yield draft.source.problem(
                here,
                f"bus {quoted(entry.bus)} is of kind {draft.wiring.bus[entry.bus].kind}, "
                f"driver {quoted(driver.name)} needs {wanted}",
                meant("", fitting, f"buses of kind {wanted}"),
            )


def _bus_of(draft: WiringDraft, device: str, use: Use) -> tuple[str, Bus] | None:
    """The device's bus, if it stands and is of the right kind."""
    name = draft.wiring.device[device].bus
    bus = draft.wiring.bus.get(name) if name is not None else None
    return (name, bus) if name is not None and bus and bus.kind == use.driver.bus else None


def _on_board(bus: Bus) -> bool:
    """Whether it is the chip of the board's own header, as far as its path tells."""
    return bus.path.startswith("pinctrl-") or "gpiochip" in bus.path or not bus.path


def _pins(draft: WiringDraft, found: dict[str, Pins]) -> Iterator[Problem]:
    """Resolve the pins of all GPIO devices into ``found``."""
    if draft.pins is None:
        return
    unresolved = 0
    for name, use in draft.devices.items():
        bus = _bus_of(draft, name, use)
        if bus is None or use.driver.bus != "gpio":
            continue
        doubtful = draft.pins.doubt is not None
        resolve = draft.pins.resolve if _on_board(bus[1]) else draft.pins.resolve_elsewhere
        pins: Pins = []
        for claim, key in _claims(name, use):
            try:
                pins.append((resolve(claim), key))
            except ConfigError as error:
                unresolved += 1
                if not doubtful:  # of a board that is not known, it is said once, below
                    yield draft.source.problem(key, error.what, error.hint)
        found[name] = pins
        if _on_board(bus[1]) and draft.pins.known:
            yield from _taken(draft, name, use, pins)
    doubt = draft.pins.doubt if found else None
    if doubt:
        yield draft.source.problem(("board", "model"), *doubt, "error" if unresolved else "warning")


def _taken(draft: WiringDraft, name: str, use: Use, pins: Pins) -> Iterator[Problem]:
    """Pins that the kernel uses, or that do harm while the head boots."""
    note = draft.wiring.device[name].note
    for pin, here in pins:
        line = pin.line if pin.line is not None else -1
        owner = next(
            (
                (bus, signals[line])
                for bus, entry in draft.wiring.bus.items()
                for path, signals in KERNEL_PINS.items()
                if line in signals
                and (entry.path.startswith(path) if path.endswith(".") else entry.path == path)
            ),
            None,
        )
        if owner:
            yield draft.source.problem(
                here,
                f"{pin.label} is {owner[1]} of bus {owner[0]} "
                f"({draft.source.place(('bus', owner[0]))})",
                "use another pin",
            )
        elif not note and line in SPI0_SELECTS and _has_spi0(draft):
            yield draft.source.problem(
                here,
                f"{pin.label} is also {SPI0_SELECTS[line]} of SPI0, which the kernel takes with "
                "`dtparam=spi=on`",
                "set dtoverlay=spi0-1cs in config.txt and say so in `note`, or use another pin",
                "warning",
            )
        if not note and line in CONSOLE:
            yield draft.source.problem(
                here,
                f"{pin.label} is {CONSOLE[line]} of the serial console, which moves it at boot",
                "turn the console off and say so in `note`, or use another pin",
                "warning",
            )
        yield from _pull(draft, name, use, pin, here)


def _pull(draft: WiringDraft, name: str, use: Use, pin: Pin, here: KeyPath) -> Iterator[Problem]:
    active_low = getattr(use.options, "active_low", None)
    if "outlet" not in use.driver.roles or active_low is None or pin.boot_pull is None:
        return
    if here[-1] != "pin":
        return  # a line that is only listened to
    if (pin.boot_pull == "down") == active_low and "pull" not in draft.wiring.device[name].note:
        does = "presses a button" if use.driver.asks else "energises a relay"
        yield draft.source.problem(
            here,
            f"{pin.label} is pulled {pin.boot_pull} while the head boots, which {does} "
            f"that is active {'low' if active_low else 'high'}",
            f"use one of GPIO{'4 to 6' if active_low else '16 to 27'}, or say in `note` which "
            f"resistor pulls it {'up' if active_low else 'down'}",
            "warning",
        )


def _has_spi0(draft: WiringDraft) -> bool:
    return any(bus.path.startswith("/dev/spidev0.") for bus in draft.wiring.bus.values())


@dataclass(slots=True)
class _Owners:
    """Who came first to each place."""

    draft: WiringDraft
    first: dict[tuple[str, object], tuple[str, KeyPath, str]] = field(default_factory=dict)

    def claim(
        self, place: tuple[str, object], device: str, key: KeyPath, label: str
    ) -> Problem | None:
        owner, owner_key, owner_label = self.first.setdefault(place, (device, key, label))
        if owner == device and owner_key == key:
            return None
        source = self.draft.source
        shown = label if label == owner_label else f"{owner_label}, the same as {label},"
        return source.problem(
            key,
            f"{shown} is claimed by {owner} ({source.place(owner_key)}) and {device} "
            f"({source.place(key)})",
            "move one of the two",
        )


def _clashes(draft: WiringDraft, pins: dict[str, Pins]) -> Iterator[Problem]:
    owners = _Owners(draft)
    for name, use in draft.devices.items():
        bus = _bus_of(draft, name, use)
        if bus is None:
            continue
        chip = chip_of(*bus)
        if use.driver.bus == "spi":
            claims: list[tuple[object, KeyPath, str]] = [
                ("", ("device", name), f"the SPI device {bus[1].path or bus[0]}")
            ]
        elif use.driver.bus == "gpio":
            claims = [
                (pin.name if pin.line is None else pin.line, key, pin.label)
                for pin, key in pins.get(name, ())
            ]
        else:
            claims = [(claim, key, f"{claim} on {bus[0]}") for claim, key in _claims(name, use)]
        for what, key, label in claims:
            problem = owners.claim((chip, what), name, key, label)
            if problem:
                yield problem


def _claims(device: str, use: Use) -> Iterator[tuple[str, KeyPath]]:
    """What the device claims, each with the key that it comes from, else with its table."""
    left = {name: getattr(use.options, name) for name in type(use.options).model_fields}
    for claim in use.options.claims():
        name = next(
            (
                name
                for name, value in left.items()
                if value == claim or (isinstance(value, int) and claim == f"address 0x{value:02x}")
            ),
            None,
        )
        if name is None:
            yield claim, ("device", device)
        else:
            del left[name]
            yield claim, ("device", device, name)
