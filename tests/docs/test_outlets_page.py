"""docs/outlets.md: every snippet is a rig that loads, and every outlet driver is on the page."""

import re
from pathlib import Path

import pytest

from hwctl.config.drivers import own_drivers
from hwctl.config.load import check, load

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/outlets.md").read_text()
SNIPPETS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
OUTLETS = {driver.name: driver for driver in own_drivers() if "outlet" in driver.roles}

AROUND = """\
[rig]
name = "example"

[board]
model = "Raspberry Pi 4B"

[supply.bank]
kind = "power-bank"
capacity_wh = 99.54

[rail.5v]
supply = "bank"
volts = 5.1
budget_amps = 12.0

[node.node0]
role = "compute"

"""
SETTINGS = """\
wiring = "example.toml"

[shutdown]
stages = [["compute"]]

[host.node0]
load = { driver = "node_exporter", url = "http://10.42.0.10:9100/metrics" }
control = { driver = "ssh", address = "10.42.0.10", user = "hwctl" }
"""
SAID = {
    "command": "does not exist on this machine",
    "wake_on_lan": "can only wake",
}
"""What `hwctl check` rightly warns of, by driver."""


def driver_of(snippet):
    return re.search(r'driver = "(\w+)"', snippet)[1]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=driver_of)
def test_a_snippet_is_a_rig_that_loads(tmp_path, snippet):
    (tmp_path / "example.toml").write_text(AROUND + snippet)
    settings = tmp_path / "example.hwctl.toml"
    settings.write_text(SETTINGS)
    expected = SAID.get(driver_of(snippet))
    found = check(settings)
    assert [one for one in found if expected is None or expected not in one.what] == []
    assert bool(found) == (expected is not None)
    loaded = load(settings)
    assert loaded.wiring.outlet_of("node0") == "feed0"
    assert len(loaded.devices) == 1


def test_every_kind_of_outlet_has_a_snippet():
    assert {driver_of(snippet) for snippet in SNIPPETS} == OUTLETS.keys()


def test_the_table_names_each_once_and_says_what_is_told():
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| `")]
    told = {name: row[-1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert told.keys() == OUTLETS.keys()
    for name, driver in OUTLETS.items():
        if driver.reads_back is False:
            assert "assumed" in told[name], name
            assert "read back" not in told[name], name
        elif driver.reads_back is True:
            assert "read back" in told[name], name


def test_keys_that_the_page_names_are_there():
    for name, driver in OUTLETS.items():
        keys = driver.options.model_fields
        cycles = driver.cycles is not False
        said = re.search(r"switch on again where it can:(.*?)Everywhere else", PAGE, re.DOTALL)[1]
        assert (f"`{name}`" in said) == cycles, name
        if name in ("lcus", "kmtronic", "numato"):
            assert "contact" not in keys, f"the page says that {name} has none"


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([\w./-]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
