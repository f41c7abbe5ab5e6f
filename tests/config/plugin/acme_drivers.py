"""Drivers from another package: only what the configuration looks at, they open nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from hwctl.model.drivers import (
    BusKind,
    DeviceRole,
    Driver,
    GpioOptions,
    I2cOptions,
    Options,
)


class Gauge(I2cOptions):
    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohms: float = Field(gt=0, le=1, description="the shunt's resistance")
    reversed: bool = False


class Relay(GpioOptions):
    active_low: bool = False


class Fans(Options):
    pwm: str
    tacho: str

    def claims(self) -> Sequence[str]:
        return (self.pwm, self.tacho)


class Strip(Options):
    leds: int = Field(ge=1, le=2000, description="how many")
    order: Literal["RGB", "GRB"] = "GRB"
    trim: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _even(self) -> "Strip":
        if self.leds == 13:
            raise ValueError("13 LEDs bring bad luck")
        return self


class Page(Options):
    url: str = Field(pattern=r"^http://")
    names: list[str] = Field(default=[], min_length=0, max_length=2)


class Login(Options):
    address: str
    port: int | Literal["any"] = Field(default=22)
    key: Path = Path("id")


def _open(bus: Any, options: Any) -> Any:
    raise NotImplementedError


def _driver(
    name: str,
    bus: BusKind,
    roles: set[DeviceRole],
    options: type[Options],
    channels: int = 1,
    first: int = 0,
) -> Driver:
    return Driver(
        name=name,
        summary="made up",
        parts=("none",),
        bus=bus,
        roles=frozenset(roles),
        options=options,
        open=_open,
        proof="none",
        channels=channels,
        first_channel=first,
    )


GAUGE = _driver("acme_gauge", "i2c", {"gauge"}, Gauge)
RELAY = _driver("acme_relay", "gpio", {"outlet"}, Relay)
EXPANDER = _driver("acme_expander", "i2c", {"outlet", "gauge"}, I2cOptions, 8, 1)
FANS = _driver("acme_fans", "gpio", {"fan"}, Fans, 2, 1)
SERIAL = _driver("acme_serial", "serial", {"outlet"}, Options)
STRIP = _driver("acme_strip", "spi", {"strip"}, Strip)
PAGE = _driver("acme_page", "net", {"load"}, Page)
LOGIN = _driver("acme_login", "net", {"control"}, Login)
