"""Faults between tables: each is told once, at its line, with every place that takes part."""

import re
from pathlib import Path

import pytest

from hwctl.config.load import check

Row = tuple[
    tuple[tuple[str, str], ...],  # changes of the wiring
    tuple[tuple[str, str], ...],  # changes of the settings
    str,  # in the problem's line
    str,  # what, with {FILE:TEXT} for the place of the line with TEXT
    str,  # hint
    str,  # severity
]


def places(text: str, folder: Path) -> str:
    """ "<bus = 7>" becomes the place of the only line of small.toml that has this text."""

    def place(found: re.Match[str]) -> str:
        lines = (folder / "small.toml").read_text().splitlines()
        (number,) = [at for at, line in enumerate(lines, 1) if found[1] in line]
        return f"(small.toml:{number})"

    return re.sub(r"<(.+?)>", place, text)


ROWS: dict[str, Row] = {
    "two devices at one address": (
        (("address = 0x44", "address = 64  # 0x40"),),
        (),
        "address = 64",
        "address 0x40 on i2c1 is claimed by bank-out <address = 0x40> and meter0 <address = 64>",
        "move one of the two",
        "error",
    ),
    "two devices at one address, of which one is left to its default": (
        (("address = 0x40\n", ""), ("address = 0x44", "address = 0x40")),
        (),
        "address = 0x40",
        "address 0x40 on i2c1 is claimed by bank-out <[device.bank-out]> and meter0 "
        "<address = 0x40>",
        "move one of the two",
        "error",
    ),
    "two devices on one pin": (
        (("J8:29", "J8:07"), ("J8:07", "J8:7")),
        (),
        "",
        "J8:7 (GPIO4) is claimed by relay0 (small.toml:45) and relay1 (small.toml:51)",
        "move one of the two",
        "error",
    ),
    "one pin under two names": (
        (("J8:29", "GPIO4"),),
        (),
        'pin = "GPIO4"',
        'J8:7 (GPIO4) is claimed by relay0 <pin = "J8:7"> and relay1 <pin = "GPIO4">',
        "move one of the two",
        "error",
    ),
    "one pin twice on one device": (
        (('tacho = "J8:16"', 'tacho = "18"'),),
        (),
        'tacho = "18"',
        "J8:12 (GPIO18) is claimed by fans <pwm = > and fans <tacho = >",
        "move one of the two",
        "error",
    ),
    "two devices on one SPI device": (
        (
            (
                "[strip.lid]",
                '[device.more]\ndriver = "acme_strip"\nbus = "spi0"\nleds = 9\n\n[strip.lid]',
            ),
        ),
        (),
        "[device.more]",
        "the SPI device /dev/spidev0.0 is claimed by lights <[device.lights]> and more "
        "<[device.more]>",
        "move one of the two",
        "error",
    ),
    "two buses on one path": (
        (("[bus.gpio]", '[bus.other]\nkind = "i2c"\npath = "/dev/i2c-1"\n\n[bus.gpio]'),),
        (),
        "/dev/i2c-1",
        "`/dev/i2c-1` is both bus i2c1 <[bus.i2c1]> and bus other <[bus.other]>",
        "keep one of the two, and name it in all devices",
        "error",
    ),
    "a driver that is not installed": (
        (('driver = "acme_strip"', 'driver = "acme_stripe"'),),
        (),
        "acme_stripe",
        "driver `acme_stripe` is not installed",
        "did you mean `acme_strip`? installed: `acme_broken`, ",
        "error",
    ),
    "a host's driver that is not installed": (
        (),
        (('"acme_page", url = "http://10.42.0.11/"', '"acme_pages", url = "x"'),),
        "acme_pages",
        "driver `acme_pages` is not installed",
        "did you mean `acme_page`? installed: ",
        "error",
    ),
    "a driver that cannot be loaded": (
        (('driver = "acme_strip"', 'driver = "acme_broken"'),),
        (),
        "acme_broken",
        "driver `acme_broken` cannot be loaded: acme_absent:DRIVER: ModuleNotFoundError: No module "
        "named 'acme_absent'",
        "install what it needs",
        "error",
    ),
    "no such bus": (
        (('bus = "spi0"', 'bus = "spi1"'),),
        (),
        'bus = "spi1"',
        "there is no bus `spi1`",
        "did you mean `spi0`? buses of kind spi: `spi0`",
        "error",
    ),
    "a bus of another kind": (
        (('bus = "spi0"', 'bus = "gpio"'),),
        (),
        'bus = "gpio"',
        "bus `gpio` is of kind gpio, driver `acme_strip` needs spi",
        "buses of kind spi: `spi0`",
        "error",
    ),
    "no bus": (
        (('bus = "spi0"\n', ""),),
        (),
        "[device.lights]",
        "`bus` is missing in [device.lights]: driver `acme_strip` needs one of kind spi",
        "buses of kind spi: `spi0`",
        "error",
    ),
    "a bus for a driver over the network": (
        (
            (
                "[strip.lid]",
                '[device.page]\ndriver = "acme_page"\nbus = "i2c1"\nurl = "http://x"\n\n[strip.lid]',
            ),
        ),
        (),
        'bus = "i2c1"',
        "driver `acme_page` works over the network and takes no bus",
        "remove `bus`",
        "error",
    ),
    "no such device": (
        (('device = "lights"', 'device = "light"'),),
        (),
        'device = "light"',
        "there is no device `light`",
        "did you mean `lights`? devices that are a strip: `lights`",
        "error",
    ),
    "no such gauge of a supply": (
        (('{ device = "bank-out" }', '{ device = "bank-uot" }'),),
        (),
        "bank-uot",
        "there is no device `bank-uot`",
        "did you mean `bank-out`? devices that are a gauge: `bank-out`, `meter0`, `box`",
        "error",
    ),
    "no such meter": (
        (('{ device = "meter0" }', '{ device = "meter7" }'),),
        (),
        "meter7",
        "there is no device `meter7`",
        "did you mean `meter0`? devices that are a gauge: `bank-out`, `meter0`, `box`",
        "error",
    ),
    "no such rail": (
        (('device = "lights"\nrail = "5v"', 'device = "lights"\nrail = "5vv"'),),
        (),
        'rail = "5vv"',
        "there is no rail `5vv`",
        "did you mean `5v`? rail tables in this file: `5v`",
        "error",
    ),
    "no such rail of an outlet": (
        (('rail = "5v"\nnode = "pi1"', 'rail = "12v"\nnode = "pi1"'),),
        (),
        'rail = "12v"',
        "there is no rail `12v`",
        "rail tables in this file: `5v`",
        "error",
    ),
    "no such supply": (
        (('supply = "bank"', 'supply = "bnak"'),),
        (),
        'supply = "bnak"',
        "there is no supply `bnak`",
        "did you mean `bank`? supply tables in this file: `bank`",
        "error",
    ),
    "no such node": (
        (('node = "pi1"', 'node = "pi9"'),),
        (),
        'node = "pi9"',
        "there is no node `pi9`",
        "did you mean `pi1`? node tables in this file: `pi0`, `pi1`",
        "error",
    ),
    "a fan that names a relay": (
        (('device = "fans"\nchannel = 1', 'device = "relay0"\nchannel = 0'),),
        (),
        'device = "relay0"',
        "fan intake needs a fan, but `relay0` (acme_relay, small.toml:42) is an outlet",
        "devices that are a fan: `fans`",
        "error",
    ),
    "a channel out of range": (
        (("channel = 2", "channel = 3"),),
        (),
        "channel = 3",
        "fan exhaust names channel 3 of `fans`, which has 1 to 2",
        "allowed: 1 to 2 (acme_fans)",
        "error",
    ),
    "a channel left out where 0 is none": (
        (('{ device = "box", channel = 1 }', '{ device = "box" }'),),
        (),
        'meter = { device = "box" }',
        "meter of outlet feed1 names channel 0 of `box`, which has 1 to 8",
        "allowed: 1 to 8 (acme_expander)",
        "error",
    ),
    "a channel of a device that has one": (
        (('device = "relay0"', 'device = "relay0"\nchannel = 1'),),
        (),
        "channel = 1",
        "outlet feed0 names channel 1 of `relay0`, which has only 0",
        "allowed: only 0 (acme_relay)",
        "error",
    ),
    "a channel used by two": (
        (("channel = 2", "channel = 1"),),
        (),
        "[fan.exhaust]",
        "channel 1 of `fans` is used by fan intake <[fan.intake]> and fan exhaust <[fan.exhaust]>",
        "give each its own channel or device",
        "error",
    ),
    "a gauge that is a supply's and an outlet's": (
        (('meter = { device = "meter0" }', 'meter = { device = "bank-out" }'),),
        (),
        'meter = { device = "bank-out" }',
        "channel 0 of `bank-out` is used by output_gauge of supply bank <output_gauge> and meter "
        'of outlet feed0 <meter = { device = "bank-out" }>',
        "give each its own channel or device",
        "error",
    ),
    "two outlets for one node": (
        (('node = "pi1"', 'node = "pi0" # too'),),
        (),
        "# too",
        "node `pi0` is fed by outlet feed0 (small.toml:73) and outlet feed1 <# too>",
        "leave `node` out of one of the two",
        "error",
    ),
    "a pin that does not exist": (
        (("J8:29", "J8:41"),),
        (),
        "J8:41",
        "there is no pin `J8:41` on a Raspberry Pi Zero2W",
        "write header and pin, as `J8:11`, or the line, as `GPIO17`",
        "error",
    ),
    "a pin of the supply": (
        (("J8:29", "J8:2"),),
        (),
        '"J8:2"',
        "pin `J8:2` is 5V, not a GPIO line",
        "`pinout`, which comes with gpiozero, shows the header",
        "error",
    ),
    "ground": (
        (("J8:12", "J8:39"),),
        (),
        "J8:39",
        "pin `J8:39` is GND, not a GPIO line",
        "`pinout`, which comes with gpiozero, shows the header",
        "error",
    ),
    "a pin of the I2C bus": (
        (("J8:29", "J8:3"),),
        (),
        "J8:3",
        "J8:3 (GPIO2) is SDA of bus i2c1 <[bus.i2c1]>",
        "use another pin",
        "error",
    ),
    "a pin of the SPI bus": (
        (("J8:12", "MOSI"), ("MOSI", "GPIO10")),
        (),
        "GPIO10",
        "J8:19 (GPIO10) is MOSI of bus spi0 <[bus.spi0]>",
        "use another pin",
        "error",
    ),
    "the chip select in use": (
        (("J8:12", "J8:24"),),
        (),
        "J8:24",
        "J8:24 (GPIO8) is CE0 of bus spi0 <[bus.spi0]>",
        "use another pin",
        "error",
    ),
    "the other chip select": (
        (("J8:12", "J8:26"),),
        (),
        "J8:26",
        "J8:26 (GPIO7) is also CE1 of SPI0, which the kernel takes with `dtparam=spi=on`",
        "set dtoverlay=spi0-1cs in config.txt and say so in `note`, or use another pin",
        "warning",
    ),
    "a pin of the console": (
        (("J8:12", "J8:8"),),
        (),
        "J8:8",
        "J8:8 (GPIO14) is TXD of the serial console, which moves it at boot",
        "turn the console off and say so in `note`, or use another pin",
        "warning",
    ),
    "a relay that is energised by a pull-up": (
        (("active_low = true", "active_low = false"),),
        (),
        'pin = "J8:7"',
        "J8:7 (GPIO4) is pulled up while the head boots, which energises a relay that is active "
        "high",
        "use one of GPIO16 to 27, or say in `note` which resistor pulls it down",
        "warning",
    ),
    "a relay that is energised by a pull-down": (
        (("J8:29", "J8:11"),),
        (),
        'pin = "J8:11"',
        "J8:11 (GPIO17) is pulled down while the head boots, which energises a relay that is "
        "active low",
        "use one of GPIO4 to 6, or say in `note` which resistor pulls it up",
        "warning",
    ),
    "a board that nobody knows": (
        (("Zero 2 W", "Zreo 2 W"),),
        (),
        "Zreo",
        "no board `Raspberry Pi Zreo 2 W` is known, its pins cannot be checked",
        "did you mean `Raspberry Pi Zero2W`? otherwise give its revision code as `revision`",
        "error",
    ),
    "a revision that nobody knows": (
        (('"Raspberry Pi Zero 2 W"', '"x"\nrevision = 0x1'),),
        (),
        'model = "x"',
        "no board is known by the revision code 0x1",
        "see `Revision` in /proc/cpuinfo, or leave `revision` out",
        "error",
    ),
    "a rail over its supply's power": (
        (("budget_amps = 12.0", "budget_amps = 20.1"),),
        (),
        "budget_amps",
        "rail `5v` may draw 100.5 W (5 V times 20.1 A), but supply `bank` gives at most 100 W "
        "<[supply.bank]>",
        "lower `budget_amps` to 20 or less",
        "error",
    ),
    "rails over their supply's power": (
        (
            (
                "[device.bank-out]",
                '[rail.12v]\nsupply = "bank"\nvolts = 12\nbudget_amps = 4\n\n[device.bank-out]',
            ),
        ),
        (),
        "budget_amps = 4",
        "with rail `12v`, the rails of supply `bank` may draw 108.0 W together, but it gives at "
        "most 100 W",
        "lower their `budget_amps`",
        "warning",
    ),
    "a node that its rail cannot start": (
        (('role = "compute"', 'role = "compute"\ninrush_amps = 12.5'),),
        (),
        "inrush_amps",
        "node `pi1` may draw 12.5 A when switched on, more than rail `5v` can carry (12 A, "
        "small.toml:28)",
        "correct `inrush_amps` or `budget_amps`; as it stands the node is never switched on",
        "error",
    ),
    "a host without node": (
        (),
        (
            (
                "[host.pi0]",
                '[host.pi7]\nload = { driver = "acme_page", url = "http://x" }\n[host.pi0]',
            ),
        ),
        "[host.pi7]",
        "there is no node `pi7` in small.toml",
        "did you mean `pi1`? known: `pi0`, `pi1`",
        "error",
    ),
    "settings of no supply": (
        (),
        (("[supply.bank]", "[supply.bnak]"),),
        "[supply.bnak]",
        "there is no supply `bnak` in small.toml",
        "did you mean `bank`? known: `bank`",
        "error",
    ),
    "a driver that cannot halt": (
        (),
        (
            (
                '{ driver = "acme_login", address = "10.42.0.11" }',
                '{ driver = "acme_page", url = "http://x" }',
            ),
        ),
        "control = ",
        "driver `acme_page` cannot be used as `control` of a host",
        "drivers that can: `acme_login`, ",
        "error",
    ),
    "a node that cannot be seen": (
        (),
        (('load = { driver = "acme_page", url = "http://10.42.0.11/" }\n', ""),),
        "[host.pi1]",
        "node `pi1` has no `load`: it cannot be seen",
        'add `load = { driver = "node_exporter", url = "..." }`',
        "warning",
    ),
    "a node that cannot be told to halt": (
        (),
        (('control = { driver = "acme_login", address = "10.42.0.11" }\n', ""),),
        "[host.pi1]",
        "node `pi1` has no `control`: a shutdown cannot tell it to halt",
        'add `control = { driver = "ssh", address = "...", user = "..." }`',
        "warning",
    ),
    "a node without host": (
        (("[fan.intake]", '[node.pi2]\nrole = "compute"\n\n[fan.intake]'),),
        (),
        "[host.pi0]",
        "node `pi2` has no table [host.pi2]: it can neither be seen nor told to halt",
        "add [host.pi2] with `load` and `control`",
        "warning",
    ),
    "a stage with a role that no node has": (
        (),
        (('[["compute"], ', '[["compute", "storge"], '),),
        "stages",
        "no node has the role `storge`, which stage 1 of the shutdown names",
        "roles: `compute`, `orchestrator`",
        "error",
    ),
    "a role in two stages": (
        (),
        (('[["compute"], ', '[["compute"], ["compute"], '),),
        "stages",
        "the role `compute` is in stage 1 and stage 2",
        "leave it in one of the two",
        "error",
    ),
    "a role in no stage": (
        (),
        (('[["compute"], ["orchestrator"]]', '[["compute"]]'),),
        "stages",
        "no stage of the shutdown has the role `orchestrator`: pi0 stays on until the supply is "
        "empty",
        "add it to `stages`, or mark what must stay on as `protected`",
        "warning",
    ),
    "a restart at the floor": (
        (),
        (("restart_charge = 0.30", "restart_charge = 0.12"),),
        "restart_charge",
        "`restart_charge` is 0.12, `floor` is 0.1: the rig would go down again as soon as it is up",
        "set `restart_charge` to 0.15 or more",
        "error",
    ),
    "a curve out of order": (
        (),
        (("[40.0, 0.25], [70.0, 0.8]", "[40.0, 0.25],\n  [40.0, 0.8]"),),
        "[40.0, 0.8]",
        "`curve` goes from 40 to 40",
        "sort its points, each above the one before",
        "error",
    ),
    "a curve that falls": (
        (),
        (("[70.0, 0.8]", "\n[70.0, 0.2]"),),
        "[70.0, 0.2]",
        "`curve` lowers the duty from 0.25 to 0.2 between 40 and 70",
        "let the duty stay or rise from point to point",
        "error",
    ),
    "a curve of loads that falls": (
        (),
        (("[lights]", "load_curve = [[0.1, 0.5], [0.9, 0.4]]\n[lights]"),),
        "load_curve",
        "`load_curve` lowers the duty from 0.5 to 0.4 between 0.1 and 0.9",
        "let the duty stay or rise from point to point",
        "error",
    ),
    "a curve without points": (
        (),
        (("[[40.0, 0.25], [70.0, 0.8]]", "[]"),),
        "curve = []",
        "`curve` has no points",
        "leave it out, or give at least one",
        "error",
    ),
    "a curve in Fahrenheit": (
        (),
        (("[70.0, 0.8]", "[158.0, 0.8]"),),
        "158",
        "`curve` has a point at 158 °C",
        "allowed: -40 to 125 °C",
        "error",
    ),
    "more battery LEDs than LEDs": (
        (("leds = 60", "leds = 7"),),
        (),
        "battery_leds",
        "`battery_leds` is 8, but strip `lid` has 7 LEDs <leds = 7>",
        "set it to 7 or less",
        "error",
    ),
    "no meter while armed": (
        (('meter = { device = "meter0" }\n', ""),),
        (),
        "[outlet.feed0]",
        "outlet `feed0` has no `meter`: that `pi0` has halted cannot be proven by its draw",
        'add `meter = { device = "..." }`',
        "warning",
    ),
    "stale before it is asked again": (
        (),
        (("[host.pi1]", "[host.pi1]\nevery_s = 5"),),
        "[host.pi1]",
        "`stale_after_s` is 4 s, but `every_s` is 5 s",
        "set it above `every_s`",
        "error",
    ),
    "a deadline before its end": (
        (),
        (("floor = 0.10", "floor = 0.10\nhalt_deadline_s = 60"),),
        "halt_deadline_s",
        "`halt_deadline_s` is 60 s, but `halt_s` is 60 s",
        "set it above `halt_s`",
        "error",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_fault_between_tables(rig, row: Row) -> None:
    wiring, settings, line, what, hint, severity = row
    path = rig(wiring, settings)
    found = check(path)
    assert len(found) == 1, "\n".join(map(str, found))
    problem = found[0]
    assert problem.what == places(what, path.parent)
    assert problem.hint.startswith(hint)
    assert problem.severity == severity
    assert line in Path(problem.file).read_text().splitlines()[problem.line - 1]


FINE = {
    "no outlet for a node": (
        (('node = "pi1"\n', ""),),
        (),
    ),
    "a note about the chip select": (
        (("J8:12", "J8:26"), ('driver = "acme_fans"', 'driver = "acme_fans"\nnote = "1cs"')),
        (),
    ),
    "a note about the console": (
        (("J8:12", "J8:8"), ('driver = "acme_fans"', 'driver = "acme_fans"\nnote = "off"')),
        (),
    ),
    "a note about a resistor": (
        (("J8:29", 'J8:11"\nnote = "10 kOhm pull-up on the board'),),
        (),
    ),
    "the pins of a bus that is not declared": (
        (("/dev/i2c-1", "/dev/i2c-3"), ("J8:29", "J8:3")),
        (),
    ),
    "no meter while not armed": (
        (('meter = { device = "meter0" }\n', ""),),
        (("armed = true", "armed = false"),),
    ),
    "the same address on two buses": (
        (
            ("[bus.gpio]", '[bus.i2c3]\nkind = "i2c"\npath = "/dev/i2c-3"\n\n[bus.gpio]'),
            ('bus = "i2c1"\naddress = 0x44', 'bus = "i2c3"\naddress = 0x40'),
        ),
        (),
    ),
    "the outlet and the gauge of one channel": (
        (('device = "relay1"', 'device = "box"\nchannel = 1'),),
        (),
    ),
    "a protected node outside of all stages": (
        (("[fan.intake]", '[node.sw]\nrole = "switch"\nprotected = true\n\n[fan.intake]'),),
        (),
    ),
    "lines of a board that is no Raspberry Pi": (
        (
            ("Raspberry Pi Zero 2 W", "RockPro64"),
            ("J8:7", "17"),
            ("J8:29", "gpiochip0:18"),
            ("J8:12", "GPIO19"),
            ("J8:16", "fan-tacho"),
        ),
        (),
    ),
    "lines of another chip": (
        (
            ("[bus.i2c1]", '[bus.more]\nkind = "gpio"\npath = "mcp23017"\n\n[bus.i2c1]'),
            ('bus = "gpio"\npin = "J8:29"', 'bus = "more"\npin = "4"'),
        ),
        (),
    ),
    "the board by its revision": (
        (('"Raspberry Pi Zero 2 W"', '"mine"\nrevision = 0x902120'),),
        (),
    ),
}


@pytest.mark.parametrize(("wiring", "settings"), FINE.values(), ids=FINE.keys())
def test_what_is_allowed(rig, wiring, settings) -> None:
    assert check(rig(wiring, settings)) == []


def test_two_lines_of_a_board_that_is_no_raspberry_pi(rig) -> None:
    changes = (
        ("Raspberry Pi Zero 2 W", "RockPro64"),
        ("J8:7", "GPIO17"),
        ("J8:29", "gpiochip0:17"),
        ("J8:12", "fan-tacho"),
        ("J8:16", "fan-tacho"),
    )
    assert [one.what for one in check(rig(changes))] == [
        "line 17 is claimed by relay0 (small.toml:45) and relay1 (small.toml:51)",
        "line fan-tacho is claimed by fans (small.toml:62) and fans (small.toml:63)",
    ]


def test_a_header_pin_of_a_board_that_is_no_raspberry_pi(rig) -> None:
    found = check(rig((("Raspberry Pi Zero 2 W", "RockPro64"),)))
    assert len(found) == 4
    assert found[0].what == (
        "the header of board `RockPro64` is not known, so that `J8:7` means no line"
    )


def test_a_reference_to_what_is_wrong_itself_is_no_second_fault(rig) -> None:
    """A device, a node, a rail, a supply and a bus that are there, but wrong in themselves."""
    for change in (
        ("shunt_ohms = 0.002", "shunt_ohms = 0"),
        ('role = "compute"', "role = 3"),
        ("budget_amps = 12.0", "budget_amps = 0"),
        ("capacity_wh = 99.54", "capacity_wh = 0"),
        ('kind = "spi"', 'kind = "psi"'),
    ):
        assert len(check(rig((change,)))) == 1, change


def test_stages_that_are_left_to_their_default_are_no_error(rig) -> None:
    path = rig(
        (('role = "compute"', 'role = "worker"'),),
        (('stages = [["compute"], ["orchestrator"]]\n', ""),),
    )
    found = check(path)
    assert [one.severity for one in found] == ["warning", "warning"]
    assert "no node has the role `compute`" in found[0].what
    assert "no stage of the shutdown has the role `worker`" in found[1].what
