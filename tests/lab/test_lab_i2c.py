"""hwctl's way to I2C on real adapters of the kernel: what goes through, and what fails how.

The adapter on USB answers an absent address with ENXIO, i2c-stub with ENODEV (and knows SMBus
only). EREMOTEIO, which no adapter of the lab gives, is played in tests/engine/test_buses.py.
"""

import errno
import threading
from contextlib import closing
from pathlib import Path

import pytest
from smbus2 import SMBus, i2c_msg

from hwctl.engine.buses import KernelBuses
from hwctl.model.errors import BusError, DeviceBusyError, DeviceError, DeviceNotFoundError
from hwctl.model.wiring import Bus
from hwctl_drivers.emc230x import DRIVER as EMC230X
from hwctl_drivers.ina219 import DRIVER as INA219
from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219

STUB_ADDRESSES = (0x2F, 0x40)


def crc8(data):
    """SMBus' packet error code: x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


class PecRegisters:
    """Byte registers that send and check the packet error code; ``wrong``: send nonsense."""

    def __init__(self, address):
        self.address = address
        self.registers = {1: 0x5A}
        self.wrong = False
        self._frame, self._sent = [], 0

    def start(self, read):
        self._frame.append(self.address << 1 | read)
        self._sent = 0
        return True

    def write(self, byte):
        self._frame.append(byte)
        if len(self._frame) == 4:
            good = crc8(self._frame[:3]) == byte
            if good:
                self.registers[self._frame[1]] = self._frame[2]
            return good
        return True

    def read(self):
        self._sent += 1
        if self._sent == 1:
            self._frame.append(self.registers[self._frame[1]])
            return self._frame[-1]
        return crc8(self._frame) ^ self.wrong

    def stop(self):
        self._frame = []


class Torn:
    """Sends four bytes of any block, then holds the clock."""

    def __init__(self):
        self.reached = threading.Event()
        self.sent = 0

    def start(self, read):
        return True

    def write(self, byte):
        return True

    def read(self):
        self.sent += 1
        if self.sent > 4:
            self.reached.set()
            raise OSError(errno.ETIMEDOUT, "the clock is held")
        return self.sent

    def stop(self):
        pass


@pytest.fixture
def chips():
    bus = EmulatedI2c("i2c1")
    gauge, fans, pec = Ina219(0.01), Emc230x(2, lambda: 0.0), PecRegisters(0x10)
    for address, chip in ((0x40, gauge), (0x2F, fans), (0x10, pec)):
        bus.place(address, chip, "lab")
    gauge.sense(4.0, 1.0)
    fans.rpm[0] = 3000.0
    return bus


@pytest.fixture
def adapter(plug_in, chips):
    return plug_in(chips)


@pytest.fixture
def smbus(adapter):
    with closing(SMBus(adapter.path)) as smbus:
        yield smbus


# --- what goes through -----------------------------------------------------------------------


def test_plain_transactions_and_smbus_see_the_same_registers(smbus):
    message = i2c_msg.read(0x40, 2)
    smbus.i2c_rdwr(i2c_msg.write(0x40, [2]), message)
    assert bytes(message) == b"\x1f\x42"
    assert smbus.read_word_data(0x40, 2) == 0x421F
    assert bytes(smbus.read_i2c_block_data(0x40, 2, 2)) == b"\x1f\x42"
    smbus.write_byte_data(0x2F, 0x30, 0x80)
    smbus.write_byte(0x2F, 0x30)
    assert smbus.read_byte(0x2F) == smbus.read_byte_data(0x2F, 0x30) == 0x80
    smbus.write_word_data(0x40, 5, 0x0010)
    assert smbus.process_call(0x40, 5, 0x0020) == 0x0020
    smbus.write_quick(0x2F)


def test_a_chip_with_pec_is_read_and_written_with_it(smbus, chips):
    smbus.pec = 1
    assert smbus.read_byte_data(0x10, 1) == 0x5A
    smbus.write_byte_data(0x10, 1, 0xA5)
    assert smbus.read_byte_data(0x10, 1) == 0xA5
    chips._chips[0x10].wrong = True
    with pytest.raises(OSError, match="Bad message") as caught:
        smbus.read_byte_data(0x10, 1)
    assert caught.value.errno == errno.EBADMSG


def test_a_write_that_is_not_acknowledged_changes_nothing(smbus, chips):
    """Without its packet error code the chip refuses the last byte."""
    with pytest.raises(OSError, match="No such device") as caught:
        smbus.i2c_rdwr(i2c_msg.write(0x10, [1, 0xA5, 0x00]))
    assert caught.value.errno == errno.ENXIO
    assert chips._chips[0x10].registers[1] == 0x5A


def test_drivers_work_over_the_adapter(adapter, opened):
    bus = opened(adapter.path)
    gauge = INA219.open(bus, INA219.options(address=0x40, shunt_ohms=0.01))
    fans = EMC230X.open(bus, EMC230X.options(address=0x2F))
    for device in (gauge, fans):
        device.probe()
    fans.drive(1, 0.5)
    assert fans.read(1).rpm == pytest.approx(3000, rel=0.01)


# --- what is not there, taken, or pulled out -------------------------------------------------


def test_nothing_answers(adapter, opened, chips):
    bus = opened(adapter.path)
    for address in (0x41, 0x77):
        with pytest.raises(DeviceNotFoundError) as caught:
            bus.transfer(address, b"\x00", 2)
        assert caught.value.__cause__.errno == errno.ENXIO
        assert "i2cdetect" in caught.value.hint
    chips.faults[0x40] = "nak"
    with pytest.raises(DeviceNotFoundError):
        bus.transfer(0x40, b"\x02", 2)
    chips.faults.clear()
    assert bus.transfer(0x40, b"\x02", 2) == b"\x1f\x42"


def test_a_chip_that_holds_the_clock_costs_two_seconds_and_no_more(adapter, opened, chips):
    """The kernel's i2c_tiny_usb gives up after 2 s, calls it EIO, and works on."""
    bus = opened(adapter.path)
    chips.faults[0x40] = "timeout"
    with pytest.raises(BusError) as caught:
        bus.transfer(0x40, b"\x02", 2)
    assert caught.value.__cause__.errno == errno.EIO
    chips.faults.clear()
    assert bus.transfer(0x40, b"\x02", 2) == b"\x1f\x42"


@pytest.mark.parametrize("read", [2, 32])
def test_a_stuck_data_line_is_refused_by_the_driver(adapter, opened, chips, read):
    bus = opened(adapter.path)
    for fault, byte in (("ones", b"\xff"), ("zeros", b"\x00")):
        chips.faults[0x40] = fault
        assert bus.transfer(0x40, b"\x02", read) == byte * read


def test_an_address_that_a_kernel_driver_owns(adapter, opened, load):
    load("ina2xx")
    bus = opened(adapter.path)
    gauge = INA219.open(bus, INA219.options(address=0x40, shunt_ohms=0.01))
    gauge.probe()
    device = adapter.bind("ina219", 0x40)
    for call in (gauge.probe, gauge.read):
        with pytest.raises(DeviceBusyError, match="driver ina2xx owns it") as caught:
            call()
    assert caught.value.__cause__.errno == errno.EBUSY
    (hwmon,) = device.glob("hwmon/hwmon*")
    assert str(hwmon) in caught.value.hint
    assert (hwmon / "in1_input").read_text() == "4000\n"
    assert bus.transfer(0x2F, b"\xfe", 1) == b"\x5d", "its neighbour is free"
    # The hint's own command, with its pipe: what it says must work.
    unbind = Path(caught.value.hint.partition("tee ")[2].partition(",")[0])
    unbind.write_text(device.name)
    gauge.probe()


def test_an_owner_that_shows_nothing_is_named_all_the_same(adapter, opened, load):
    adapter.bind("dummy", 0x50)
    with pytest.raises(DeviceBusyError, match="driver dummy owns it") as caught:
        opened(adapter.path).transfer(0x50, b"\x00", 1)
    assert caught.value.hint.startswith("to give it to hwctl: echo")


def test_an_adapter_that_is_pulled_out_in_the_middle_of_a_block_read(plug_in, opened):
    bus, torn = EmulatedI2c("i2c1"), Torn()
    bus.place(0x20, torn, "lab")
    adapter = plug_in(bus)
    ours = opened(adapter.path)
    met = []

    def read():
        try:
            ours.transfer(0x20, b"\x00", 32)
        except BusError as error:
            met.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert torn.reached.wait(30)
    adapter.plug.unplug()
    reader.join()
    (error,) = met
    assert "adapter failed" in error.what
    assert "unplugged" in error.hint
    with pytest.raises(BusError):
        ours.transfer(0x20, b"\x00", 1)


def test_an_adapter_that_is_not_there():
    with pytest.raises(BusError, match="does not exist") as caught:
        KernelBuses().open("i2c1", Bus(kind="i2c", path="/dev/i2c-99"))
    assert "`path`" in caught.value.hint


# --- an adapter for SMBus only ---------------------------------------------------------------


@pytest.fixture
def stub(load, eventually):
    """The path of i2c-stub: registers that keep what is written, as words."""
    load("i2c-dev")
    load("i2c-stub", f"chip_addr={','.join(map(hex, STUB_ADDRESSES))}")

    def number():
        for folder in Path("/sys/bus/i2c/devices").glob("i2c-*"):
            path = Path(f"/dev/{folder.name}")
            if (folder / "name").read_text() == "SMBus stub driver\n" and path.exists():
                return str(path)
        return None

    return eventually(number)


def test_what_smbus_has_a_name_for_goes_through(stub, opened):
    bus = opened(stub)
    bus.transfer(0x40, b"\x01\x12\x34")
    assert bus.transfer(0x40, b"\x01", 2) == b"\x12\x34"
    bus.transfer(0x2F, b"\x07\xab")
    assert bus.transfer(0x2F, b"\x07", 1) == b"\xab"
    bus.transfer(0x2F, b"\x10\x01\x02\x03\x04\x05")
    assert bus.transfer(0x2F, b"\x10", 5) == b"\x01\x02\x03\x04\x05"
    bus.transfer(0x2F, b"\x10")
    assert bus.transfer(0x2F, b"", 1) == b"\x01"
    bus.transfer(0x2F, b"")


@pytest.mark.parametrize(("write", "read"), [(b"", 2), (b"\x01\x02", 1), (b"\x01", 33)])
def test_what_it_has_none_for_is_refused_and_the_bus_lives_on(stub, opened, write, read):
    bus = opened(stub)
    with pytest.raises(DeviceError, match="SMBus only") as caught:
        bus.transfer(0x40, write, read)
    assert not isinstance(caught.value, BusError)
    bus.transfer(0x40, b"\x01", 2)


def test_nothing_answers_on_smbus(stub, opened):
    with pytest.raises(DeviceNotFoundError) as caught:
        opened(stub).transfer(0x41, b"\x00", 2)
    assert caught.value.__cause__.errno == errno.ENODEV


def test_drivers_work_over_smbus(stub, opened):
    bus = opened(stub)
    for register, value in ((0xFE, 0x5D), (0xFD, 0x36), (0x3E, 0x14), (0x3F, 0x80)):
        bus.transfer(0x2F, bytes([register, value]))
    for write in (b"\x00\x39\x9f", b"\x01\xfc\x18", b"\x02\x1f\x42"):
        bus.transfer(0x40, write)
    fans = EMC230X.open(bus, EMC230X.options(address=0x2F))
    gauge = INA219.open(bus, INA219.options(address=0x40, shunt_ohms=0.01))
    for device in (fans, gauge):
        device.probe()
    fans.drive(2, 1.0)
    assert bus.transfer(0x2F, b"\x40", 1) == b"\xff"
    assert fans.read(1).rpm == pytest.approx(3_932_160 / 0x290)
    sample = gauge.read()
    assert (sample.volts, sample.amps) == (pytest.approx(4.0), pytest.approx(-1.0))
