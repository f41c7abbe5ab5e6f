"""Relays and ports on I2C: what all of them keep, and each one's own frames.

Golden frames and where they are from:

- Seeed: `i2cset -y 1 0x11 0x10 0x0b` and `0x0f` on a real board (forum.seeedstudio.com, topic
  33662: relays 1, 2 and 4; all four), `0x10 0x2` is relay 2 (topic 266956);
- Sequent: relay.c's relayMaskRemap (relay 2 alone is 0x04, relay 3 is 0x40);
- ClusterCTRL: `send_cmd` of the maker's tool, two writes of a byte each: DATA0 at 0x0c, then the
  command at 0x0d (0x03 on, 0x04 off, 0x0f state);
- ClusterHAT: the maker's xra1200.py (latch 0x01, directions 0x03, pins 0x00);
- MCP23017 and MCP23008: register numbers of Linux' pinctrl-mcp23s08.c and DS20001952C page 18;
- PCF8574: its data sheet, page 8 (the byte alone).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from hwctl.engine.buses import SmbusI2c
from hwctl.model.errors import (
    DeviceDataError,
    DeviceError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)
from hwctl_drivers import clusterctrl, mcp230xx, pcf8574, seeed_relay, sequent_relay
from hwctl_drivers.pcf8574 import with_bit
from hwctl_drivers.sequent_relay import latch_from
from hwctl_emulated.clusterctrl import ClusterCtrl, ClusterHat
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.mcp230xx import Mcp230xx
from hwctl_emulated.pcf8574 import Pcf8574
from hwctl_emulated.seeed_relay import SeeedRelay
from hwctl_emulated.sequent_relay import MASKS, SequentRelay


@dataclass(frozen=True)
class Kind:
    """One part as it is wired."""

    name: str
    driver: Any
    options: dict[str, Any]
    make: Callable[[], Any]
    channels: range
    start: bool = False
    """Whether its relays are pulled in after power-up."""
    wrong: Callable[[], Any] | None = None
    """Another part, which it must not be mistaken for; ``None`` where that cannot be told."""


KINDS = (
    Kind("PCF8574", pcf8574, {"address": 0x20}, Pcf8574, range(8), wrong=Mcp230xx),
    Kind(
        "PCF8574A, active high",
        pcf8574,
        {"address": 0x38, "active_low": False},
        lambda: Pcf8574(active_low=False),
        range(8),
        start=True,
        wrong=lambda: Mcp230xx(1),
    ),
    Kind("MCP23017", mcp230xx, {"address": 0x20}, Mcp230xx, range(16), wrong=Pcf8574),
    Kind(
        "MCP23008, active low",
        mcp230xx,
        {"address": 0x27, "part": "MCP23008", "active_low": True},
        lambda: Mcp230xx(1, active_low=True, floating=True),
        range(8),
        wrong=SequentRelay,
    ),
    Kind("Seeed", seeed_relay, {"address": 0x11, "at_start": "released"}, SeeedRelay, range(1, 5)),
    Kind("Sequent", sequent_relay, {"address": 0x3F}, SequentRelay, range(1, 9), wrong=ClusterCtrl),
    Kind(
        "ClusterCTRL",
        clusterctrl,
        {"address": 0x20, "board": "ctrl"},
        ClusterCtrl,
        range(1, 4),
        wrong=ClusterHat,
    ),
    Kind(
        "ClusterHAT",
        clusterctrl,
        {"address": 0x20, "board": "hat"},
        ClusterHat,
        range(1, 5),
        wrong=ClusterCtrl,
    ),
    Kind(
        "ClusterHAT, link cut",
        clusterctrl,
        {"address": 0x20, "board": "hat"},
        lambda: ClusterHat(link=False),
        range(1, 5),
        start=True,
        wrong=ClusterCtrl,
    ),
)
SEEED = next(kind for kind in KINDS if kind.name == "Seeed")


@dataclass
class Rig:
    """A part behind hwctl's own bus, the frames that went to it, and its relays after each."""

    kind: Kind
    chip: Any = None
    log: list[bytes] = field(default_factory=list)
    seen: list[list[bool]] = field(default_factory=list)

    def __post_init__(self):
        self.raw = EmulatedI2c()
        self.chip = self.chip or self.kind.make()
        self.address = self.kind.options["address"]
        self.raw.place(self.address, self.chip, "device.relays")
        self._bus = SmbusI2c(self.raw, "i2c1")

    def transfer(self, address, write, read=0):
        self.log.append(write)
        try:
            return self._bus.transfer(address, write, read)
        finally:
            if hasattr(self.chip, "relay"):
                self.seen.append(self.relays)

    @property
    def relays(self):
        return [self.chip.relay(channel) for channel in self.kind.channels]

    @property
    def frames(self):
        """All that was sent, without those that only name a register to be read."""
        return [write.hex() for write in self.log if len(write) > 1]

    def poke(self, *data):
        self._bus.transfer(self.address, bytes(data))

    def peek(self, register, length=1):
        return self._bus.transfer(self.address, bytes([register]), length)

    def opened(self, **options):
        driver = self.kind.driver.DRIVER
        return driver.open(self, driver.options(**(self.kind.options | options)))

    def probed(self, **options):
        device = self.opened(**options)
        device.probe()
        return device

    def get_all(self, device):
        return [device.get(channel) for channel in self.kind.channels]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def rig(request):
    return Rig(request.param)


def of(module, **kept):
    """The first rig of that driver."""
    return Rig(next(kind for kind in KINDS if kind.driver is module), **kept)


# --- what all keep ---------------------------------------------------------------------------


def test_opening_touches_nothing(rig):
    rig.opened()
    assert rig.log == []


def test_adopting_writes_nothing_and_switches_nothing(rig):
    device = rig.probed()
    assert rig.frames == [] or rig.kind.driver is seeed_relay
    rig.get_all(device)
    assert rig.relays == [rig.kind.start] * len(rig.kind.channels)
    assert all(relays == rig.relays for relays in rig.seen)


def test_after_power_up_it_is_told_what_the_relays_do(rig):
    device = rig.probed()
    assert rig.get_all(device) == rig.relays == [rig.kind.start] * len(rig.kind.channels)


def test_an_order_switches_that_relay_and_never_another(rig):
    device = rig.probed()
    expected = list(rig.relays)
    orders = [(place, on) for on in (True, False) for place in range(len(expected))]
    orders += [(place, not place % 2) for place in reversed(range(len(expected)))]
    for place, on in orders:
        before = list(expected)
        expected[place] = on
        rig.seen.clear()
        device.set(rig.kind.channels[place], on)
        assert rig.relays == expected
        assert all(relays in (before, expected) for relays in rig.seen), "not for a moment"
        assert rig.get_all(device) == expected


def test_ordering_what_is_so_already_changes_nothing(rig):
    device = rig.probed()
    for channel in rig.kind.channels:
        device.set(channel, rig.kind.start)
    assert all(relays == [rig.kind.start] * len(relays) for relays in rig.seen)


def test_a_second_hwctl_adopts_what_the_first_has_left(rig):
    first = rig.probed()
    first.set(rig.kind.channels[1], not rig.kind.start)
    left = rig.relays
    rig.seen.clear()
    second = rig.probed()
    told = rig.get_all(second)
    assert all(relays == left for relays in rig.seen)
    if rig.kind.driver.DRIVER.reads_back:
        assert told == left
        second.set(rig.kind.channels[0], not rig.kind.start)
        assert rig.relays == [not rig.kind.start, *left[1:]]


def test_a_reset_of_the_part_is_told_and_nothing_is_set_again_unasked(rig):
    device = rig.probed()
    for channel in rig.kind.channels:
        device.set(channel, not rig.kind.start)
    rig.chip.power_on()
    rig.log.clear()
    told = rig.get_all(device)
    assert rig.relays == [rig.kind.start] * len(rig.kind.channels)
    if rig.kind.driver.DRIVER.reads_back:
        assert told == rig.relays
        device.set(rig.kind.channels[-1], not rig.kind.start)
        assert rig.relays == [rig.kind.start] * (len(told) - 1) + [not rig.kind.start]


@pytest.mark.parametrize("call", ["probe", "get", "set"])
def test_nobody_there(rig, call):
    device = rig.probed()
    rig.raw.faults[rig.address] = "nak"
    arguments = {"probe": (), "get": (rig.kind.channels[0],), "set": (rig.kind.channels[0], True)}
    with pytest.raises(DeviceNotFoundError):
        getattr(device, call)(*arguments[call])
    assert rig.relays == [rig.kind.start] * len(rig.kind.channels)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.wrong], ids=lambda kind: kind.name)
def test_another_part_is_a_mismatch_and_is_not_written_to(kind):
    rig = Rig(kind, chip=kind.wrong())
    with pytest.raises(DeviceError) as caught:
        rig.probed()
    assert isinstance(caught.value, DeviceMismatchError | DeviceDataError)
    assert "wiring" in caught.value.hint or "SDA" in caught.value.hint
    assert rig.frames == []


def test_there_is_no_relay_beyond_the_last(rig):
    device = rig.probed()
    for channel in (rig.kind.channels[0] - 1, rig.kind.channels[-1] + 1):
        for call in (lambda c=channel: device.get(c), lambda c=channel: device.set(c, True)):
            with pytest.raises(DeviceMismatchError):
                call()
    assert rig.relays == [rig.kind.start] * len(rig.kind.channels)


CONTACTS = [kind for kind in KINDS if "contact" in kind.driver.DRIVER.options.model_fields]


@pytest.mark.parametrize("kind", CONTACTS, ids=lambda kind: kind.name)
def test_on_the_normally_closed_contact_a_node_is_on_while_the_coil_rests(kind):
    rig = Rig(kind)
    device = rig.probed(contact="normally-closed")
    channel = kind.channels[2]
    assert device.get(channel) is not kind.start
    for on in (True, False, True):
        device.set(channel, on)
        assert rig.chip.relay(channel) is not on
        assert device.get(channel) is on


def test_the_channels_are_those_that_the_driver_declares(rig):
    driver = rig.kind.driver.DRIVER
    assert rig.kind.channels[0] == driver.first_channel
    assert rig.kind.channels[-1] <= driver.first_channel + driver.channels - 1


# --- PCF8574 ---------------------------------------------------------------------------------


def test_pcf8574_frames():
    rig = of(pcf8574)
    device = rig.probed()
    for channel, on in ((0, True), (7, True), (0, False)):
        device.set(channel, on)
    assert rig.frames == []
    assert [write.hex() for write in rig.log if write] == ["fe", "7e", "7f"]


def test_a_pin_that_something_pulls_low_is_left_high_if_it_is_named_an_input():
    rig = of(pcf8574)
    device = rig.probed(inputs=(3, 4))
    rig.chip.pulled_low = {3}
    device.set(0, True)
    rig.chip.pulled_low = set()
    assert rig.chip.level(3), "not latched low"
    with pytest.raises(DeviceMismatchError, match="pin 4"):
        device.get(4)


def test_a_port_with_one_bit_changed():
    assert (with_bit(0xA5, 1, True), with_bit(0xA5, 0, False)) == (0xA7, 0xA4)


@pytest.mark.parametrize("address", [0x1F, 0x28, 0x37, 0x40])
@pytest.mark.parametrize("module", [pcf8574, sequent_relay])
def test_addresses_of_other_parts_are_refused(module, address):
    with pytest.raises(ValidationError):
        module.DRIVER.options(address=address)


# --- MCP23008 and MCP23017 -------------------------------------------------------------------


def test_mcp23017_writes_the_latch_before_the_direction():
    rig = of(mcp230xx)
    device = rig.probed()
    device.set(10, True)
    assert rig.frames == ["1504", "01fb"]
    rig.log.clear()
    device.set(10, False)
    assert rig.frames == ["1500"], "an output already"


def test_mcp23008_frames():
    rig = Rig(next(kind for kind in KINDS if "23008" in kind.name))
    device = rig.probed()
    device.set(7, False)
    assert rig.frames == ["0a80", "007f"]


def test_mcp_leaves_other_pins_and_registers_as_they_are():
    rig = of(mcp230xx)
    rig.poke(0x00, 0x0F)  # GPA4 to 7 are outputs
    rig.poke(0x14, 0xA3)
    rig.poke(0x0C, 0x07)  # pull-ups
    device = rig.probed()
    device.set(1, True)
    device.set(4, True)
    assert rig.peek(0x00) == b"\x0d"
    assert rig.peek(0x14) == b"\xb3"
    assert rig.peek(0x0C) == b"\x07"


def test_mcp_takes_inverted_inputs_into_account():
    rig = of(mcp230xx)
    rig.poke(0x02, 0xFF)
    device = rig.probed()
    device.set(0, True)
    assert (rig.chip.relay(0), device.get(0), device.get(1)) == (True, True, False)


@pytest.mark.parametrize(("fault", "error"), [("ones", DeviceDataError), ("nak", DeviceError)])
def test_mcp_on_a_dead_line(fault, error):
    rig = of(mcp230xx)
    rig.raw.faults[rig.address] = fault
    with pytest.raises(error):
        rig.probed()


# --- Seeed -----------------------------------------------------------------------------------


def test_seeed_frames():
    rig = Rig(SEEED)
    device = rig.probed()
    for channel in (2, 1, 4, 3):
        device.set(channel, True)
    assert rig.frames == ["1002", "1003", "100b", "100f"]


def test_seeed_refuses_to_switch_what_it_does_not_know():
    rig = Rig(SEEED)
    rig.poke(0x10, 0x05)
    device = rig.probed(at_start="unknown")
    assert rig.get_all(device) == [None] * 4
    with pytest.raises(DeviceError, match="how 1, 3, 4 are is not known") as caught:
        device.set(2, True)
    assert "at_start" in caught.value.hint
    assert rig.frames == []
    assert rig.relays == [True, False, True, False]
    assert rig.get_all(device) == [None] * 4


def test_seeed_after_a_failed_order_that_relay_is_not_known_and_can_be_ordered_again():
    rig = Rig(SEEED)
    device = rig.probed()
    device.set(3, True)
    rig.raw.faults[rig.address] = "timeout"
    with pytest.raises(DeviceTimeoutError):
        device.set(1, True)
    rig.raw.faults.clear()
    assert rig.get_all(device) == [None, False, True, False]
    with pytest.raises(DeviceError, match="how 1 are"):
        device.set(2, True)
    device.set(1, False)
    assert rig.relays == rig.get_all(device) == [False, False, True, False]


def test_seeed_says_that_it_does_not_read_back():
    assert seeed_relay.DRIVER.reads_back is False


# --- Sequent ---------------------------------------------------------------------------------


def test_sequent_frames_and_the_makers_order_of_bits():
    rig = of(sequent_relay)
    device = rig.probed()
    device.set(2, True)
    assert rig.frames == ["0104", "0300"], "no pin is an output before it has its level"
    rig.log.clear()
    device.set(3, True)
    assert rig.frames == ["0144"]
    for relay in range(1, 9):
        device.set(relay, True)
        assert rig.chip.pins & MASKS[relay - 1]


def test_sequent_pins_keep_their_levels_when_they_are_made_outputs():
    rig = of(sequent_relay)
    rig.chip.floating = 0x84  # relays 2 and 6 pulled in by whatever
    device = rig.probed()
    device.set(1, True)
    assert rig.peek(0x03) == b"\0"
    assert [relay for relay in rig.kind.channels if rig.chip.relay(relay)] == [1, 2, 6]


def test_a_latch_of_pins_where_they_are_inputs():
    assert latch_from(0b1100_0011, 0b1010_1010, 0b1111_0000) == 0b1100_1010


# --- ClusterCTRL and ClusterHAT --------------------------------------------------------------


def cluster(board, **kept):
    name = {"ctrl": "ClusterCTRL", "hat": "ClusterHAT"}[board]
    return Rig(next(kind for kind in KINDS if kind.name == name), **kept)


def test_clusterctrl_frames():
    rig = cluster("ctrl")
    device = rig.probed()
    device.set(2, True)
    device.set(3, False)
    assert device.get(2) is True
    assert rig.frames == ["0c02", "0d03", "0c03", "0d04", "0c02", "0d0f"]


@pytest.mark.parametrize("slowness", [1, 4])
def test_clusterctrl_waits_until_an_order_is_carried_out(slowness):
    rig = cluster("ctrl", chip=ClusterCtrl(3, slowness=slowness))
    device = rig.probed()
    assert device.get(1) is False, "and not the 1 that was asked for"
    device.set(1, True)
    assert (rig.relays, device.get(1), device.get(2)) == ([True, False, False], True, False)


def test_clusterctrl_that_hangs_is_a_timeout_and_does_not_hang_hwctl():
    rig = cluster("ctrl", chip=ClusterCtrl(3, slowness=1000))
    with pytest.raises(DeviceTimeoutError, match="ON of P2"):
        rig.probed().set(2, True)
    assert len(rig.log) < 20


def test_clusterctrl_ports_as_saved_and_as_many_as_there_are():
    rig = cluster("ctrl", chip=ClusterCtrl(6, saved=frozenset({5})))
    device = rig.probed()
    assert [device.get(port) for port in range(1, 7)] == [False] * 4 + [True, False]
    with pytest.raises(DeviceMismatchError, match="P1 to P6, no P7"):
        device.set(7, True)


class Odd(ClusterCtrl):
    """A ClusterCTRL that answers something of its own once it was asked."""

    answer = (0, 0, 0)

    def load(self, register):
        at = register - 0x0C
        return self.answer[at] if 0 <= at < 3 else super().load(register)


@pytest.mark.parametrize(
    ("answer", "told"),
    [((0xFF, 0, 0), None), ((1, 0, 0), True), ((0, 0, 0), False)],
)
def test_clusterctrl_a_port_on_a_hat_that_is_not_plugged_in_is_not_known(answer, told):
    rig = cluster("ctrl", chip=Odd())
    rig.chip.answer = answer
    assert rig.probed().get(1) is told


@pytest.mark.parametrize(("answer", "said"), [((2, 0, 0), "no state"), ((0, 0, 3), "status 3")])
def test_clusterctrl_nonsense_is_refused(answer, said):
    rig = cluster("ctrl", chip=Odd())
    rig.chip.answer = answer
    with pytest.raises(DeviceDataError, match=said):
        rig.probed().get(1)


def test_clusterhat_first_order_after_power_up_and_then():
    rig = cluster("hat")
    device = rig.probed()
    device.set(3, True)
    assert rig.frames == ["01f4", "0300"], "hub, LEDs and write protection at the level they had"
    rig.log.clear()
    device.set(1, True)
    assert rig.frames == ["01f5"]


# --- the emulated parts by themselves --------------------------------------------------------


def test_the_makers_python_would_pull_all_sequent_relays_in_for_a_moment():
    """`__check` of lib8relind writes the directions first, with a latch of ones."""
    rig = of(sequent_relay)
    rig.poke(0x03, 0x00)
    assert rig.relays == [True] * 8
    rig.poke(0x01, 0x00)
    assert rig.relays == [False] * 8


def test_the_emulated_mcp_goes_on_to_the_next_register_unless_told_not_to():
    rig = of(mcp230xx)
    assert rig.peek(0x00, 3) == b"\xff\xff\x00"
    rig.poke(0x0A, 0x20)
    assert rig.peek(0x00, 3) == b"\xff\xff\xff"
    assert rig.peek(0x0A) == rig.peek(0x0B) == b"\x20"


def test_the_emulated_clusterctrl_does_not_acknowledge_while_it_is_busy():
    rig = cluster("ctrl", chip=ClusterCtrl(3, slowness=5))
    rig.poke(0x0D, 0x03)
    with pytest.raises(DeviceNotFoundError):
        rig.poke(0x0C, 0x01)
