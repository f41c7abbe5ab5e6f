"""Faults of outlets by what switches them: each a warning at its line, and nothing is opened."""

from pathlib import Path

import pytest

from hwctl.config.load import check

BEFORE = "[outlet.feed0]"
SERIAL = '[bus.relays]\nkind = "serial"\npath = "/dev/hwctl/relays"\n\n'
SYSFS = '[bus.sys]\nkind = "sysfs"\n\n'
BOARD = '[device.{name}]\ndriver = "lcus"\nbus = "relays"\nchannels = 4\n\n'
PORT = '[device.port]\ndriver = "usb_port"\nbus = "sys"\nport = "{port}"\n\n'
WAKER = '[device.waker]\ndriver = "wake_on_lan"\nmac = "b8:27:eb:00:00:01"\n\n'


def with_more(text):
    return ((BEFORE, f"{text}{BEFORE}"),)


def only(path, line):
    """The one problem that there is, which is a warning at ``line``."""
    (problem,) = check(path)
    assert problem.severity == "warning"
    assert Path(problem.file).read_text().splitlines()[problem.line - 1] == line
    assert problem.hint
    return problem


@pytest.mark.parametrize(
    ("bus", "line", "what"),
    [
        ('kind = "serial"\npath = "/dev/x"\nbaud = 19200', "baud = 19200", "bus of kind serial"),
        ('kind = "serial"\npath = "/dev/x"\nparity = "E"', 'parity = "E"', "bus of kind serial"),
        ('kind = "hid"\npath = "/dev/hidraw0"\nbaud = 9600', "baud = 9600", "bus of kind hid"),
        ('kind = "sysfs"\nparity = "N"', 'parity = "N"', "bus of kind sysfs"),
        (
            'kind = "modbus"\npath = "10.0.0.7:502"\nbaud = 19200', "baud = 19200",
            "Modbus over TCP (10.0.0.7:502)",
        ),
    ],
)  # fmt: skip
def test_a_speed_that_nobody_listens_to(rig, bus, line, what):
    problem = only(rig(with_more(f"[bus.more]\n{bus}\n\n")), line)
    assert problem.what.startswith(f"`{line.split()[0]}` does nothing on a")
    assert what in problem.what
    assert problem.hint.startswith("remove it")


def test_a_modbus_line_has_a_speed(rig):
    bus = '[bus.more]\nkind = "modbus"\npath = "/dev/ttyUSB0"\nbaud = 19200\nparity = "E"\n\n'
    assert check(rig(with_more(bus))) == []


def test_two_devices_on_one_serial_port(rig):
    """hwctl's own drivers claim the port, which is an error; others only deserve a warning."""
    claimed = SERIAL + BOARD.format(name="upper") + BOARD.format(name="lower")
    (problem,) = check(rig(with_more(claimed)))
    assert problem.severity == "error"
    assert problem.what.startswith("the port on relays is claimed by upper")
    shared = "".join(
        f'[device.{name}]\ndriver = "acme_serial"\nbus = "relays"\n# {name}\n\n'
        for name in ("upper", "lower")
    )
    path = rig(with_more(SERIAL + shared))
    (problem,) = check(path)
    lines = (path.parent / "small.toml").read_text().splitlines()
    second = lines.index("# lower")
    assert (problem.severity, problem.line) == ("warning", second)
    assert problem.what == (
        f"serial port `relays` has two devices: upper (small.toml:{lines.index('# upper')}) and "
        f"lower (small.toml:{second})"
    )
    noted = shared.replace("# lower", 'note = "RS-485, addresses 1 and 2"')
    assert check(rig(with_more(SERIAL + noted))) == []


@pytest.mark.parametrize(
    ("port", "more", "told"),
    [("1-2", "", 'port = "1-2"'), ("1-1.3", 'usb3_port = "2-1"\n', 'usb3_port = "2-1"')],
)
def test_a_port_of_the_raspberry_pi_itself(rig, port, more, told):
    device = SYSFS + PORT.format(port=port).rstrip("\n") + f"\n{more}\n"
    problem = only(rig(with_more(device)), told)
    assert "is a port of the Raspberry Pi itself" in problem.what
    other = (("Raspberry Pi Zero 2 W", "RockPro64"), ("J8:7", "17"), ("J8:29", "18"))
    lines = (("J8:12", "19"), ("J8:16", "20"))
    assert check(rig((*with_more(device), *other, *lines))) == []


def test_a_port_of_a_hub_is_fine(rig):
    assert check(rig(with_more(SYSFS + PORT.format(port="1-1.3")))) == []


def test_a_node_that_can_only_be_woken(rig):
    changes = (*with_more(WAKER), ('device = "relay1"', 'device = "waker"'))
    problem = only(rig(changes), "[outlet.feed1]")
    assert problem.what == (
        "outlet `feed1` can only wake `pi1`: a shutdown halts it, and cannot cut its power"
    )
    # One that no stage brings down may sleep as it likes.
    away = (("[node.pi1]\n", "[node.pi1]\nprotected = true\n"), ('"compute"', '"lab"'))
    assert check(rig((*changes, *away), (('[["compute"], ', "["),))) == []


# --- programs ------------------------------------------------------------------------------------


def program(tmp_path, mode=0o755, folder="bin"):
    file = tmp_path / folder / "plug"
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/true\n")
    file.chmod(mode)
    return file


def command(file, **keys):
    rows = {"on": [str(file), "on"], "off": [str(file), "off"], **keys}
    lines = "\n".join(f"{key} = {value}".replace("'", '"') for key, value in rows.items())
    return with_more(f'[device.plug]\ndriver = "command"\n{lines}\n\n')


def test_a_program_that_is_there_and_root_s_own(rig, tmp_path):
    tmp_path.chmod(0o755)
    assert check(rig(command(program(tmp_path)))) == []


def test_a_program_that_is_not_there_is_told_of_once(rig, tmp_path):
    file = tmp_path / "bin/plug"
    problem = only(rig(command(file)), f'on = ["{file}", "on"]')
    assert problem.what == f"`{file}` does not exist on this machine"


def test_each_program_is_looked_at(rig, tmp_path):
    file = program(tmp_path)
    state = [str(tmp_path / "other"), "3"]
    problem = only(rig(command(file, state=state)), f'state = ["{tmp_path / "other"}", "3"]')
    assert "other` does not exist" in problem.what


@pytest.mark.parametrize(
    ("mode", "what"),
    [(0o644, "is no program"), (0o757, "can be changed by everybody"), (0o755, None)],
)
def test_a_program_by_its_mode(rig, tmp_path, mode, what):
    found = check(rig(command(program(tmp_path, mode))))
    assert [what in one.what for one in found] == ([True] if what else [])


def test_a_program_in_a_folder_that_is_open_to_all(rig, tmp_path):
    file = program(tmp_path, folder="open")
    file.parent.chmod(0o777)
    (problem,) = check(rig(command(file)))
    assert "can be replaced by everybody" in problem.what
    # Where only the owner may replace a file, as in /tmp, others cannot.
    file.parent.chmod(0o1777)
    assert check(rig(command(file))) == []
