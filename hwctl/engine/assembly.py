"""From a checked rig to workers, hosts and strips, ready to be started."""

from collections.abc import Callable, Mapping
from typing import Any

from hwctl.config.draft import Use
from hwctl.config.load import Loaded
from hwctl.engine.buses import Buses
from hwctl.engine.clock import Clock
from hwctl.engine.lights import StripLoop
from hwctl.engine.net_devices import NetDevice
from hwctl.engine.network import HostEntry
from hwctl.engine.senses import fan_key, gauge_key, outlet_key
from hwctl.engine.workers import BusWorker, Health, Job, Report
from hwctl.model.drivers import LedStrip, Net
from hwctl.model.errors import DeviceError, HwctlError
from hwctl.model.units import Ratio
from hwctl.model.wiring import Bus
from hwctl.policy.operation import Action

OUTLET_EVERY_S = 1.0
FAN_EVERY_S = 1.0


def make_workers(
    loaded: Loaded,
    buses: Buses,
    clock: Clock,
    net: Net,
    report: Callable[[Report], None],
    health: Callable[[Health], None],
) -> tuple[dict[str, BusWorker], dict[str, BusWorker | NetDevice]]:
    """One worker per bus that carries anything but a strip, with its devices and polls.

    :returns: the workers by bus; and, by device, its worker, or itself if it is on the network.
    """
    wiring = loaded.wiring
    workers: dict[str, BusWorker] = {}
    strips = {strip.device for strip in wiring.strip.values()}
    bus_of: dict[str, BusWorker | NetDevice] = {}
    for name, entry in wiring.device.items():
        if name in strips:
            continue
        if entry.bus is None:
            use = loaded.devices[name]
            bus_of[name] = NetDevice(name, use.driver, use.options, net, clock, report, health)
            continue
        worker = workers.get(entry.bus)
        if worker is None:
            worker = workers[entry.bus] = BusWorker(
                entry.bus, wiring.bus[entry.bus], buses, clock,
                report, health,
            )  # fmt: skip
        use = loaded.devices[name]
        worker.add_device(name, use.driver, use.options)
        bus_of[name] = worker
    gauge_s = loaded.settings.gauges.every_s
    for fan_id, fan in wiring.fan.items():
        bus_of[fan.device].poll(fan.device, fan_key(fan_id), reader(fan.channel), FAN_EVERY_S)
    for outlet_id, outlet in wiring.outlet.items():
        bus_of[outlet.device].poll(
            outlet.device, outlet_key(outlet_id), getter(outlet.channel),
            OUTLET_EVERY_S,
        )  # fmt: skip
    gauges = {
        (place.device, place.channel)
        for supply in wiring.supply.values()
        for place in (supply.output_gauge, supply.input_gauge)
        if place is not None
    } | {(o.meter.device, o.meter.channel) for o in wiring.outlet.values() if o.meter}
    for device, channel in sorted(gauges):
        bus_of[device].poll(device, gauge_key(device, channel), reader(channel), gauge_s)
    return workers, bus_of


def make_hosts(loaded: Loaded, net: Net) -> list[HostEntry]:
    """Every node's network drivers, opened; opening does no I/O."""
    entries = []
    for node, host in loaded.hosts.items():
        load = host.load.driver.open(net, host.load.options) if host.load else None
        control = host.control.driver.open(net, host.control.options) if host.control else None
        settings = loaded.settings.host.get(node)
        entries.append(HostEntry(node, load, control, settings.every_s if settings else 1.0))
    return entries


def make_strips(
    loaded: Loaded, buses: Buses, clock: Clock, health: Callable[[Health], None]
) -> dict[str, StripLoop]:
    """A loop per strip, each with its own SPI device."""
    wiring = loaded.wiring
    loops = {}
    for strip_id, strip in wiring.strip.items():
        use = loaded.devices[strip.device]
        bus = wiring.device[strip.device].bus
        if bus is None:
            continue
        loops[strip_id] = StripLoop(
            strip_id,
            _opener(use, bus, wiring.bus[bus], buses),
            clock=clock,
            settings=loaded.settings.lights,
            leds=getattr(use.options, "leds", 0),
            health=_told_to(health, strip.device),
        )
    return loops


def _told_to(health: Callable[[Health], None], device: str) -> Callable[[HwctlError | None], None]:
    return lambda error: health(Health(device, error))


def reader(channel: int) -> Job:
    """Reads a gauge or a fan."""

    def read(device: Any) -> Any:  # noqa: ANN401 - a Gauge or a FanController
        return device.read(channel)

    return read


def getter(channel: int) -> Job:
    """Reads an outlet back."""

    def get(device: Any) -> Any:  # noqa: ANN401 - an OutletSwitch, or a NetOutlet
        return device.get(channel)

    return get


Wanted = Callable[[], bool]


def switcher(action: Action, channel: int, known: Mapping[int, bool], wanted: Wanted) -> Job:
    """Carries out what an operation wants of its outlet, if that is still wanted when the bus is
    free at last.

    :param known: what its channels were last ordered to be, for devices that cannot tell.
    """

    def switch(device: Any) -> Any:  # noqa: ANN401 - any kind of outlet
        if not wanted():
            return None
        if recall := getattr(device, "recall", None):
            recall(known)
        match action.verb:
            case "switch":
                return device.set(channel, bool(action.on))
            case "cycle":
                return device.cycle(channel, action.off_s)
            case "halt":
                return device.ask(channel)
            case "reboot":
                raise DeviceError("an outlet cannot ask its node to reboot", where=action.target)

    return switch


def driver(channel: int, duty: Ratio) -> Job:
    """Drives a fan."""

    def drive(device: Any) -> None:  # noqa: ANN401 - a FanController
        device.drive(channel, duty)

    return drive


def _opener(use: Use, name: str, bus: Bus, buses: Buses) -> Callable[[], LedStrip]:
    """What a strip's own thread calls to get at its device, at the start and after a failure."""

    last: list[Any] = []

    def opened() -> LedStrip:
        for old in last:
            old.close()
        last.clear()
        opened_bus = buses.open(name, bus)
        last.append(opened_bus)
        device: LedStrip = use.driver.open(opened_bus, use.options)
        device.probe()
        return device

    return opened
