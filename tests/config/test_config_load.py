"""One file, or a pair of them: every kind of fault is told at its line, in plain words."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwctl.config.load import check, load
from hwctl.config.problems import ConfigProblems, Problem
from hwctl.model.errors import ConfigError

WIRING_DIR = Path(__file__).parents[2] / "wiring"


def only(path: Path) -> Problem:
    """The one problem that there is."""
    found = check(path)
    assert len(found) == 1, [str(one) for one in found]
    return found[0]


def at(problem: Problem) -> str:
    """The text of the problem's line."""
    return Path(problem.file).read_text().splitlines()[problem.line - 1]


@pytest.mark.parametrize(
    "file", sorted(WIRING_DIR.glob("*.hwctl.toml")), ids=lambda file: file.name
)
def test_every_build_loads_without_problems(file: Path) -> None:
    loaded = load(file)
    assert loaded.problems == ()
    assert set(loaded.hosts) == set(loaded.wiring.node)
    assert set(loaded.devices) == set(loaded.wiring.device)
    assert file.with_name(loaded.wiring_path.name) == loaded.wiring_path


@pytest.mark.parametrize("file", sorted(WIRING_DIR.glob("*.toml")), ids=lambda file: file.name)
def test_every_file_in_wiring_checks_without_problems(file: Path) -> None:
    assert check(file) == []


def test_what_a_loaded_rig_holds(rig) -> None:
    loaded = load(rig())
    driver, options = loaded.devices["bank-out"]
    assert (driver.name, options.address, options.shunt_ohms) == ("acme_gauge", 0x40, 0.002)
    page, login = loaded.hosts["pi1"]
    assert page.options.url == "http://10.42.0.11/"
    assert (login.driver.name, login.options.key) == ("acme_login", Path("id"))
    assert loaded.settings.cooling.curve == ((40.0, 0.25), (70.0, 0.8))
    assert loaded.board.resolve("J8:11").label == "J8:11 (GPIO17)"
    assert loaded.problems == ()


def test_a_node_without_a_host_is_there(rig) -> None:
    path = rig((("[node.pi1]", '[node.sw]\nrole = "switch"\nprotected = true\n\n[node.pi1]'),))
    assert load(path).hosts["sw"] == (None, None)


ROWS = {
    "unknown key of a device": (
        ("address = 0x40", "adress = 0x40"),
        "adress = 0x40",
        "unknown key `adress` in [device.bank-out]",
        "did you mean `address`? allowed: `address`, `shunt_ohms`, `reversed`, `driver`, `bus`, "
        "`note`",
    ),
    "unknown key of a table": (
        ("budget_amps", "amps = 1\nbudget_amps"),
        "amps = 1",
        "unknown key `amps` in [rail.5v]",
        "allowed: `supply`, `volts`, `budget_amps`",
    ),
    "unknown key inside an inline table": (
        ('{ device = "bank-out" }', '{ device = "bank-out", chanel = 0 }'),
        "output_gauge",
        "unknown key `chanel` in [supply.bank.output_gauge]",
        "did you mean `channel`? allowed: `device`, `channel`",
    ),
    "unknown table": (
        ("[fan.intake]", "[fans.intake]"),
        "[fans.intake]",
        "unknown table `fans`",
        "did you mean `fan`? allowed: `rig`, `board`, `bus`, `device`, `supply`, `rail`, `outlet`, "
        "`node`, `fan`, `strip`",
    ),
    "text for a number": (
        ("leds = 60", 'leds = "60"'),
        'leds = "60"',
        "`leds` is text, must be a whole number",
        "allowed: a whole number from 1 to 2000 (how many)",
    ),
    "a fraction for a whole number": (
        ("leds = 60", "leds = 60.5"),
        "leds = 60.5",
        "`leds` is 60.5, must be a whole number",
        "allowed: a whole number from 1 to 2000 (how many)",
    ),
    "true for a number": (
        ("leds = 60", "leds = true"),
        "leds = true",
        "`leds` is true, must be a whole number",
        "allowed: a whole number from 1 to 2000 (how many)",
    ),
    "a number for text": (
        ('driver = "acme_strip"', "driver = 7"),
        "driver = 7",
        "`driver` is a whole number, must be text",
        "allowed: text",
    ),
    "a number for true or false": (
        ("active_low = true", "active_low = 1"),
        "active_low = 1",
        "`active_low` is a whole number, must be true or false",
        "allowed: true or false",
    ),
    "a table without an id": (
        ("[strip.lid]", "[strip]"),
        'device = "lights"',
        "`device` is text, must be a table",
        "allowed: a table of `device` and `rail`",
    ),
    "above the range": (
        ("capacity_wh = 99.54", "capacity_wh = 99.54\nefficiency_out = 1.5"),
        "efficiency_out",
        "`efficiency_out` is 1.5, must be at most 1",
        "allowed: a number above 0.3 and at most 1 (of the converter between cells and output)",
    ),
    "on the edge of the range": (
        ("shunt_ohms = 0.002", "shunt_ohms = 0"),
        "shunt_ohms = 0",
        "`shunt_ohms` is 0, must be above 0",
        "allowed: a number above 0 and at most 1 (the shunt's resistance)",
    ),
    "an address is shown as people write it": (
        ("address = 0x40", "address = 0x50"),
        "address = 0x50",
        "`address` is 0x50, must be at most 0x4f",
        "allowed: a whole number from 0x40 to 0x4f",
    ),
    "none of the choices": (
        ('kind = "spi"', 'kind = "psi"'),
        'kind = "psi"',
        '`kind` is "psi", must be "i2c", "gpio", "spi", "serial", "modbus", "hid" or "sysfs"',
        "did you mean `spi`? allowed: `i2c`, `gpio`, `spi`, `serial`, `modbus`, `hid`, `sysfs`",
    ),
    "too few elements": (
        ("leds = 60", "leds = 60\ntrim = [\n1, 2]"),
        "trim = [",
        "`trim` has too few values",
        "allowed: [a number, a number, a number]",
    ),
    "too many elements": (
        ("leds = 60", "leds = 60\ntrim = [1, 2, 3, 4]"),
        "trim = [",
        "`trim` has too many values",
        "allowed: [a number, a number, a number]",
    ),
    "one wrong element": (
        ("leds = 60", 'leds = 60\ntrim = [1,\n2,\n"x"]'),
        '"x"]',
        "`trim[2]` is text, must be a number",
        "allowed: a number",
    ),
    "a rule of the driver's own": (
        ("leds = 60", "leds = 13"),
        "[device.lights]",
        "`lights`: 13 LEDs bring bad luck",
        "correct `leds`, `order` or `trim`",
    ),
    "missing": (
        ("shunt_ohms = 0.002\n", ""),
        "[device.bank-out]",
        "`shunt_ohms` is missing in [device.bank-out]",
        "add `shunt_ohms = ...`: a number above 0 and at most 1 (the shunt's resistance)",
    ),
    "a table is missing": (
        ('[rig]\nname = "small"\n', ""),
        "",
        "`rig` is missing",
        "add [rig]",
    ),
    "not an id": (
        ("[strip.lid]", '[strip."The Lid"]'),
        '[strip."The Lid"]',
        "`The Lid` is not an id",
        "an id has lower-case letters, digits, - and _, at most 40",
    ),
    "a reference that is no id": (
        ('supply = "bank"', 'supply = "Bank!"'),
        'supply = "Bank!"',
        "`Bank!` is not an id",
        "an id has lower-case letters, digits, - and _, at most 40",
    ),
    "not finite": (
        ("max_watts = 100.0", "max_watts = inf"),
        "max_watts = inf",
        "`max_watts` is inf, not a finite number",
        "no key takes that",
    ),
    "a required number is not finite": (
        ("shunt_ohms = 0.002", "shunt_ohms = nan"),
        "shunt_ohms = nan",
        "`shunt_ohms` is nan, not a finite number",
        "no key takes that",
    ),
    "a date": (
        ('name = "small"', 'name = "small"\ntitle = 1979-05-27'),
        "title",
        "`title` is a date or time",
        "no key takes that",
    ),
    "a number too big for TOML": (
        ("leds = 60", f"leds = {1 << 63}"),
        "leds = ",
        "`leds` is a whole number of more than 64 bits",
        "no key takes that",
    ),
    "nested without end": (
        ("leds = 60", f"leds = 60\nnote = {'[' * 40}{']' * 40}"),
        "note",
        "`0` is nested too deeply",
        "no key takes that",
    ),
}


@pytest.mark.parametrize(("change", "line", "what", "hint"), ROWS.values(), ids=ROWS.keys())
def test_a_fault_of_the_wiring(rig, change, line: str, what: str, hint: str) -> None:
    found = check(rig((change,)))
    assert (what, hint) in [(one.what, one.hint) for one in found]
    problem = next(one for one in found if one.what == what)
    assert line in at(problem)
    assert Path(problem.file).name == "small.toml"
    assert problem.severity == "error"


SETTINGS_ROWS = {
    "a value for a table": (
        ("[service]\nport = 8470\n", "service = 3\n"),
        "`service` is a whole number, must be a table",
        "allowed: a table of `host`, `port`, `names`, `tls_cert`, `tls_key`, `watchdog` and "
        "`watchdog_s`",
    ),
    "above the range": (
        ("port = 8470", "port = 99999"),
        "`port` is 99999, must be at most 65535",
        "allowed: a whole number from 0 to 65535",
    ),
    "text for a number": (
        ("port = 8470", 'port = "8470"'),
        "`port` is text, must be a whole number",
        "allowed: a whole number from 0 to 65535",
    ),
    "unknown key": (
        ("port = 8470", "prot = 8470"),
        "unknown key `prot` in [service]",
        "did you mean `port`? allowed: `host`, `port`, `names`, `tls_cert`, `tls_key`, `watchdog`, "
        "`watchdog_s`",
    ),
    "a point out of range": (
        ("[70.0, 0.8]", "[70.0, 8]"),
        "`curve[1][1]` is 8, must be at most 1",
        "allowed: a number from 0 to 1",
    ),
    "half a point": (
        ("[70.0, 0.8]", "[70.0]"),
        "`curve[1]` has too few values",
        "allowed: [a number, a number from 0 to 1]",
    ),
    "an option of a host's driver": (
        ('address = "10.42.0.10"', 'adress = "10.42.0.10"'),
        "unknown key `adress` in [host.pi0.control]",
        "did you mean `address`? allowed: `address`, `port`, `key`, `driver`",
    ),
    "one of two kinds": (
        ('address = "10.42.0.10"', 'address = "10.42.0.10", port = "all"'),
        '`port` is text, must be a whole number or "any"',
        'allowed: a whole number or "any"',
    ),
    "text that does not match": (
        ('url = "http://10.42.0.10/"', 'url = "10.42.0.10"'),
        '`url` is "10.42.0.10", must be text that matches `^http://`',
        "allowed: text that matches `^http://`",
    ),
    "a list that is too long": (
        ('url = "http://10.42.0.10/"', 'url = "http://x", names = ["a", "b", "c"]'),
        "`names` has too many values",
        "allowed: a list of: text",
    ),
    "no wiring": (
        ('wiring = "small.toml"\n', ""),
        "`wiring` is missing",
        "add `wiring = ...`: text (the wiring file, relative to this one)",
    ),
    "wiring is no text": (
        ('wiring = "small.toml"', "wiring = 3"),
        "`wiring` is a whole number, must be text",
        "allowed: text (the wiring file, relative to this one)",
    ),
}


@pytest.mark.parametrize(("change", "what", "hint"), SETTINGS_ROWS.values(), ids=SETTINGS_ROWS)
def test_a_fault_of_the_settings(rig, change, what: str, hint: str) -> None:
    problem = only(rig((), (change,)))
    assert (problem.what, problem.hint, problem.severity) == (what, hint, "error")
    assert Path(problem.file).name == "small.hwctl.toml"
    changed = change[1].splitlines()[0] if change[1] else "service"
    assert changed in at(problem) or problem.line == 1


def test_everything_is_told_at_once_in_order(rig) -> None:
    path = rig(
        (("address = 0x40", "adress = 0x40"), ("leds = 60", "leds = 0"), ("J8:29", "J8:1")),
        (("port = 8470", "port = -1"), ("floor = 0.10", "flor = 0.10")),
    )
    with pytest.raises(ConfigProblems) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == [
        "`port`", "unknown", "unknown", "pin", "`leds`",
    ]  # fmt: skip
    numbers = [(one.file, one.line) for one in caught.value.problems]
    assert numbers == sorted(numbers, key=lambda one: (one[0] != str(path), one[1]))
    assert isinstance(caught.value, ConfigError)
    assert caught.value.where == f"{path}:{caught.value.problems[0].line}"
    assert caught.value.hint == caught.value.problems[0].hint


def test_a_problem_in_one_line() -> None:
    problem = Problem("a/b.toml", 7, "what is wrong", "what to do")
    assert str(problem) == "a/b.toml:7: what is wrong; what to do"


def test_warnings_do_not_keep_a_rig_from_loading(rig) -> None:
    loaded = load(rig((("J8:29", "J8:11"),)))
    assert [one.severity for one in loaded.problems] == ["warning"]


BROKEN_FILES = {
    "missing": (None, 1, "does not exist", "did you mean"),
    "empty": (b"", 1, "is empty", "start from a file"),
    "only comments": (b"# nothing\n\n", 1, "is empty", "start from a file"),
    "not UTF-8": (b'wiring = "small.toml"\nx = "\xff"\n', 2, "is not UTF-8: byte 0xff", "save it"),
    "UTF-16": ('wiring = "x"'.encode("utf-16"), 1, "is not UTF-8: byte 0xff", "save it as UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbfwiring = "x"', 1, "byte order mark", "without one"),
    "not TOML": (b"a = 1\nb = = 2\n", 2, "is not TOML: invalid value (column 5)", "toml.io"),
    "ends too early": (b"a = [1,\n2\n", 2, "is not TOML", "toml.io"),
    "a table twice": (b"[a]\n[b]\n[a]\n", 3, "stands here a second time", "join the two"),
    "a key twice": (b"[a]\nb = 1\nb = 2\n", 3, "has a value already", "remove one"),
    "brackets": (b"a = " + b"[" * 5000, 1, "nested too deeply", "fewer"),
    "digits": (b"a = " + b"9" * 5000, 1, "a number of thousands of digits", "shorten it"),
    "huge": (b"# " + b"x" * (1 << 20), 1, "has more than 1,048,576 bytes", "configuration file"),
}


@pytest.mark.parametrize(
    ("data", "line", "what", "hint"), BROKEN_FILES.values(), ids=BROKEN_FILES.keys()
)
@pytest.mark.parametrize("name", ["small.hwctl.toml", "small.toml"])
def test_a_file_that_cannot_be_used(
    rig, name: str, data: bytes | None, line: int, what: str, hint: str
) -> None:
    path = rig().with_name(name)
    path.unlink()
    if data is None:
        path.with_name(f"{name[:4]}_{name[5:]}").write_text("")
    else:
        path.write_bytes(data)
    problem = only(path)
    assert what in problem.what
    assert hint in problem.hint
    assert (problem.file, problem.line) == (str(path), line)
    with pytest.raises(ConfigProblems):
        load(path)


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="tomllib may have other limits")
def test_python_limits_are_met_by_the_rows_above() -> None:
    """The rows "brackets" and "digits" are there because tomllib raises other errors then."""
    assert sys.getrecursionlimit() < 5000
    assert 0 < sys.get_int_max_str_digits() < 5000


def test_a_wiring_file_that_is_not_there_is_told_where_it_is_named(rig) -> None:
    path = rig((), (("small.toml", "smal.toml"),))
    problem = only(path)
    assert problem.line == 1
    assert problem.file == str(path)
    assert problem.what == f"`wiring` names `{path.parent / 'smal.toml'}`, which does not exist"
    assert problem.hint == f"did you mean `{path.parent / 'small.toml'}`?"


def test_a_broken_wiring_file_does_not_hide_the_settings_faults(rig) -> None:
    path = rig((), (("port = 8470", "port = -1"),))
    path.with_name("small.toml").write_text("[")
    found = check(path)
    assert [Path(one.file).name for one in found] == ["small.hwctl.toml", "small.toml"]


def test_settings_that_name_themselves(rig) -> None:
    problem = only(rig((), (("small.toml", "small.hwctl.toml"),)))
    assert "which is no wiring file" in problem.what


def test_a_nul_in_a_path(rig) -> None:
    problem = only(rig((), (('"small.toml"', '"small\\u0000.toml"'),)))
    assert problem.what.startswith("cannot be read: ")


def test_a_directory_and_a_fifo(tmp_path: Path) -> None:
    assert only(tmp_path).what == "is a directory"
    os.mkfifo(tmp_path / "fifo")
    assert only(tmp_path / "fifo").what == "is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(rig) -> None:
    path = rig()
    path.chmod(0)
    assert only(path).what == "may not be read by this user"


def test_a_wiring_file_checks_alone_but_does_not_load(rig) -> None:
    path = rig((("leds = 60", "leds = 0"),)).with_name("small.toml")
    assert [one.what for one in check(path)] == ["`leds` is 0, must be at least 1"]
    with pytest.raises(ConfigProblems, match="is a wiring file") as caught:
        load(path)
    assert "small.hwctl.toml" in caught.value.hint
    path.with_name("small.hwctl.toml").unlink()
    with pytest.raises(ConfigProblems) as caught:
        load(path)
    assert 'wiring = "small.toml"' in caught.value.hint


def test_nothing_of_pydantic_is_shown(rig) -> None:
    path = rig(
        tuple(row[0] for row in ROWS.values() if "leds" not in row[0][0])[:6],
        (("port = 8470", "port = []"), ("armed = true", "armed = {}")),
    )
    shown = "\n".join(f"{one.what}; {one.hint}" for one in check(path))
    assert shown.count("\n") == 7
    for word in (
        "pydantic",
        "Input",
        "input",
        "extra_forbidden",
        "Field",
        "validat",
        "dict",
        "string",
    ):
        assert word not in shown, shown


def test_names_in_messages_cannot_upset_a_terminal(rig) -> None:
    name = "\\u001b[31mred" + "x" * 100
    found = check(rig((("leds = 60", f'leds = 60\n"{name}" = 1\norder = "{name}"'),)))
    shown = "\n".join(map(str, found))
    assert "\x1b" not in shown
    assert "unknown key `\\x1b[31mred" in shown
    assert all(len(one.what) < 200 for one in found)


def test_a_rig_without_gpio_never_imports_gpiozero(rig) -> None:
    """It costs 0.2 s on a PC, and seconds on a Zero."""
    changes = [
        (
            f'driver = "acme_relay"\nbus = "gpio"\npin = "{pin}"\nactive_low = true',
            f'driver = "acme_expander"\nbus = "i2c1"\naddress = 0x2{at}',
        )
        for at, pin in enumerate(("J8:7", "J8:29"), 1)
    ]
    fans = '[device.fans]\ndriver = "acme_fans"\nbus = "gpio"\npwm = "J8:12"\ntacho = "J8:16"\n'
    intake = '[fan.intake]\ndevice = "fans"\nchannel = 1\n'
    exhaust = '[fan.exhaust]\ndevice = "fans"\nchannel = 2\n'
    feeds = [
        (f'device = "relay{at}"', f'device = "relay{at}"\nchannel = {at + 1}') for at in (0, 1)
    ]
    path = rig((*changes, (fans, ""), (intake, ""), (exhaust, ""), *feeds))
    script = (
        "import sys; from pathlib import Path; from hwctl.config.load import load; "
        "loaded = load(Path(sys.argv[1])); print('gpiozero' in sys.modules); "
        "loaded.board.resolve('J8:11'); print('gpiozero' in sys.modules)"
    )
    plugin = str(Path(__file__).parent / "plugin")
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "PYTHONPATH": plugin},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")


def test_a_whole_number_may_stand_for_a_fraction(rig) -> None:
    loaded = load(rig((("volts = 5.0", "volts = 5"),)))
    assert math.isclose(loaded.wiring.rail["5v"].volts, 5.0)
