"""``wiring/<build>.hwctl.toml``: what to do with the hardware that the wiring file states.

Every default says where it comes from; "untuned" means that nobody has measured it yet.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hwctl.model.wiring import Id, Strict

Ratio01 = Annotated[float, Field(ge=0, le=1)]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")]


class DriverUse(BaseModel):
    """A network driver and its options, which stand beside ``driver``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    driver: str

    @property
    def options(self) -> dict[str, Any]:
        """The keys that the driver's options model checks."""
        return dict(self.__pydantic_extra__ or {})


class HostSettings(Strict):
    """How one node is asked about its load, and told to halt."""

    load: DriverUse | None = None
    control: DriverUse | None = None
    every_s: float = Field(default=1.0, ge=0.2, le=60)
    stale_after_s: float = Field(
        default=4.0, ge=1, description="four missed polls at the default rate; untuned"
    )
    unreachable_after_s: float = Field(default=12.0, ge=2, description="untuned")


class GaugeSettings(Strict):
    every_s: float = Field(default=0.5, ge=0.05, le=60)
    stale_after_s: float = Field(default=3.0, ge=0.2, description="six missed polls; untuned")


class CoolingSettings(Strict):
    """One zone: all fans follow the worst node."""

    curve: tuple[tuple[float, Ratio01], ...] = Field(
        default=((40.0, 0.25), (55.0, 0.45), (70.0, 0.8), (78.0, 1.0)),
        description="(degrees Celsius, duty): full 2 °C below the Pi's soft limit of 80 °C",
    )
    load_curve: tuple[tuple[Ratio01, Ratio01], ...] = Field(
        default=((0.1, 0.25), (0.9, 0.85)),
        description="(load, duty) for nodes that tell no temperature; untuned",
    )
    idle_duty: Ratio01 = Field(default=0.2, description="with every node off; untuned")
    safe_duty: Ratio01 = Field(
        default=0.9, description="when a temperature is lost, stale, stuck or implausible"
    )
    fall_per_s: float = Field(
        default=0.03, gt=0, le=1, description="a fan slows no faster than this; untuned"
    )
    stuck_after_s: float = Field(
        default=600.0, ge=30, description="the very same temperature while load moves; untuned"
    )


class LightsSettings(Strict):
    brightness: Ratio01 = 0.5
    battery_brightness: Ratio01 = Field(default=0.35, description="ceiling while discharging")
    low_brightness: Ratio01 = Field(default=0.1, description="ceiling while shutting down")
    fps: int = Field(default=60, ge=1, le=120)
    battery_leds: int = Field(
        default=8, ge=0, description="at the end of the strip, for the charge"
    )


class ShutdownSettings(Strict):
    armed: bool = Field(default=False, description="whether it may act, not only warn")
    stages: tuple[tuple[str, ...], ...] = Field(
        default=(("compute",), ("orchestrator",)), description="roles, stage by stage"
    )
    halt_s: float = Field(
        default=60.0, gt=0, description="what a node may take to halt until it has been learned"
    )
    halt_deadline_s: float = Field(
        default=180.0, gt=0, description="after this it is cut, and the risk is journalled"
    )
    margin: float = Field(default=1.5, ge=1, le=10, description="time left / time needed")
    floor: Ratio01 = Field(default=0.10, description="a charge below which it begins in any case")
    restart_charge: Ratio01 = Field(
        default=0.30, description="nodes come back at this charge, on mains"
    )
    confirm_samples: int = Field(default=5, ge=2, description="distinct readings that agree")
    confirm_s: float = Field(
        default=10.0,
        ge=1,
        description="for at least this long: a low-battery flag was seen to "
        "flash for 2 s while on mains (nut#2347)",
    )


class PowerSettings(Strict):
    min_off_s: float = Field(
        default=5.0, ge=1, description="hold-up capacitors must drain (pdudaemon PR 123)"
    )
    boot_s: float = Field(default=180.0, gt=0, description="until a node must have come back")
    verify_s: float = Field(default=3.0, gt=0, description="for the read-back to agree")
    quiet_s: float = Field(
        default=5.0, gt=0, description="the feed must stay below halted_watts for this long"
    )
    cycles_per_hour: int = Field(default=20, ge=1, description="per node; relay life; untuned")
    expiry_s: float = Field(
        default=600.0, gt=0, description="a command not begun by then is never carried out"
    )


class SupplySettings(Strict):
    charge_at_first_start: Ratio01 | None = Field(
        default=None,
        description="what the bank holds when hwctl first sees it; unknown until it has been "
        "full once, if this is left out",
    )


class ServiceSettings(Strict):
    host: str = "127.0.0.1"
    port: int = Field(default=8470, ge=0, le=65535)
    names: tuple[HostName, ...] = Field(
        default=(), description="by which it may be called, beside its addresses and its own name"
    )
    tls_cert: str | None = Field(
        default=None,
        description="PEM, relative to this file; with `tls_key` the port speaks TLS",
    )
    tls_key: str | None = Field(default=None, description="PEM without a passphrase")
    watchdog: str | None = Field(
        default=None,
        pattern=r"^/dev/watchdog[0-9]*$",
        description="the head's own, e.g. /dev/watchdog: it resets the head when no tick is "
        "completed any more; fed by nobody else then",
    )
    watchdog_s: int = Field(
        default=60,
        ge=5,
        le=3600,
        description="for so long; a restart of hwctl after a crash has to fit in; untuned",
    )

    def tls_files(self, settings: Path) -> tuple[Path, Path] | None:
        """Certificate and key, where both are named.

        :param settings: the settings file, beside which relative paths begin.
        """
        if self.tls_cert is None or self.tls_key is None:
            return None
        return settings.parent / self.tls_cert, settings.parent / self.tls_key


class Settings(Strict):
    """The whole file."""

    wiring: str = Field(description="the wiring file, relative to this one")
    service: ServiceSettings = ServiceSettings()
    gauges: GaugeSettings = GaugeSettings()
    supply: dict[Id, SupplySettings] = Field(default_factory=dict)
    host: dict[Id, HostSettings] = Field(default_factory=dict)
    group: dict[Id, tuple[Id, ...]] = Field(
        default_factory=dict, description="nodes by a common name, for `hwctl power on @NAME`"
    )
    cooling: CoolingSettings = CoolingSettings()
    lights: LightsSettings = LightsSettings()
    power: PowerSettings = PowerSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
