"""LED frames through the kernel's spidev: what arrives at the controller, in how many transfers.

The controller is lab/spi_capture.c, which keeps what is shifted out. WS281x LEDs take a pause for
the end of a frame, so one frame must be one transfer.
"""

import struct
from pathlib import Path
from random import Random

import pytest

from hwctl.engine.buses import SPIDEV_BUFSIZ, KernelBuses
from hwctl.model.errors import BusError, DeviceDataError
from hwctl.model.wiring import Bus
from hwctl_drivers.ws281x_spi import DRIVER as STRIP
from hwctl_emulated.spi import EmulatedSpi, Transfer
from hwctl_emulated.strip import Strip

CAPTURED = Path("/sys/kernel/debug/hwctl_spi/captured")
DEVICE = "/dev/spidev0.0"


@pytest.fixture
def bus(load, eventually):
    load("spi_capture")
    eventually(Path(DEVICE).exists)
    bus = KernelBuses().open("spi0", Bus(kind="spi", path=DEVICE))
    CAPTURED.write_bytes(b"\0")
    yield bus
    bus.close()


def transfers():
    """(clock in hertz, bytes) of each, as the controller got them."""
    raw, found = CAPTURED.read_bytes(), []
    while raw:
        length, speed_hz = struct.unpack_from("<II", raw)
        found.append((speed_hz, raw[8 : 8 + length]))
        raw = raw[8 + length :]
    return found


@pytest.mark.parametrize(("leds", "speed_hz"), [(1, 2_600_000), (60, 2_600_000), (442, 2_400_000)])
def test_a_frame_is_one_transfer_and_lights_the_leds(bus, leds, speed_hz):
    strip = STRIP.open(bus, STRIP.options(leds=leds))
    strip.probe()
    # Full and dark only: those are the same before and after gamma.
    frame = bytes(Random(leds).choices((0, 255), k=3 * leds))
    strip.show(frame, 1.0)
    ((clock, data),) = transfers()
    assert clock == speed_hz
    decoder = Strip(leds)
    decoder.shift_in(Transfer(0.0, clock, data))
    assert (decoder.frames, decoder.garbage) == (1, 0)
    assert decoder.pixels == frame


def test_the_kernel_gets_what_the_emulated_bus_gets(bus):
    emulated = EmulatedSpi(lambda: 0.0)
    random = Random(3)
    frames = [bytes(random.choices(range(256), k=180)) for _ in range(5)]
    for where in (bus, emulated):
        strip = STRIP.open(where, STRIP.options(leds=60, limit_amps=1.0))
        for frame in frames:
            strip.show(frame, 0.7)
    wanted = [(transfer.speed_hz, transfer.data) for transfer in emulated.transfers]
    assert transfers() == wanted


def test_the_kernels_limit_is_known_and_kept(bus):
    assert bus.max_transfer == int(SPIDEV_BUFSIZ.read_text())
    for leds in (331, 332, 442):
        STRIP.open(bus, STRIP.options(leds=leds)).show(bytes(3 * leds), 1.0)
    assert len(transfers()) == 3
    with pytest.raises(DeviceDataError) as caught:
        STRIP.open(bus, STRIP.options(leds=443)).probe()
    assert "spidev.bufsiz" in caught.value.hint
    with pytest.raises(BusError, match="Message too long"):
        bus.write(bytes(bus.max_transfer + 1))


def test_a_mode_that_the_controller_has_not(bus):
    bus.configure(speed_hz=1_000_000, mode=3)
    with pytest.raises(BusError, match="refuses mode 4"):
        bus.configure(speed_hz=1_000_000, mode=4)
    bus.configure(speed_hz=1_000_000, mode=0)
