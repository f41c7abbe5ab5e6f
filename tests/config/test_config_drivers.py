"""Finding drivers by name, ours and those of other packages."""

import subprocess
import sys

import pytest

from hwctl.config import drivers
from hwctl.model.drivers import Driver
from hwctl.model.errors import ConfigError


def test_a_driver_of_another_package_plugs_in() -> None:
    driver = drivers.find("acme_relay")
    assert (driver.name, driver.bus, driver.roles) == ("acme_relay", "gpio", {"outlet"})
    assert drivers.find("acme_relay") is driver


def test_our_own_plug_in_the_same_way() -> None:
    assert drivers.find("ina228").parts == ("INA228",)
    own = drivers.own_drivers()
    assert [driver.name for driver in own] == sorted(driver.name for driver in own)
    assert "ina228" in [driver.name for driver in own]
    assert not any(driver.name.startswith("acme") for driver in own)


def test_every_own_driver_is_registered_under_its_name() -> None:
    assert all(drivers.find(driver.name) is driver for driver in drivers.own_drivers())


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("ina228x", "driver `ina228x` is not installed", "did you mean `ina228`? installed: "),
        ("zzz", "driver `zzz` is not installed", "installed: `acme_broken`, "),
        ("", "driver `` is not installed", "installed: "),
        ("acme_broken", "driver `acme_broken` cannot be loaded: acme_absent:DRIVER: Module",
         "install what it needs"),
        ("acme_none", "driver `acme_none` cannot be loaded: acme_drivers:Fans is no `Driver`",
         "its entry point must name"),
        ("acme_twice", "driver `acme_twice` is installed more than once: acme_drivers:GAUGE and "
         "acme_drivers:RELAY", "remove all but one"),
    ],
)  # fmt: skip
def test_a_driver_that_cannot_be_had(name: str, what: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        drivers.find(name)
    assert caught.value.what.startswith(what)
    assert caught.value.hint.startswith(hint)


def test_the_cause_is_kept() -> None:
    with pytest.raises(ConfigError) as caught:
        drivers.find("acme_broken")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_one_that_cannot_be_loaded_does_not_hide_the_others() -> None:
    found = drivers.with_role("control", "net")
    assert "acme_login" in found
    assert "acme_page" not in found
    with pytest.raises(ConfigError, match="acme_broken"):
        drivers.all_drivers()


def test_what_is_installed_is_looked_at_again_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "acme_relay" in drivers.names()
    monkeypatch.setattr(sys, "path", [one for one in sys.path if not one.endswith("plugin")])
    assert "acme_relay" in drivers.names()
    drivers.forget()
    assert "acme_relay" not in drivers.names()
    assert all(isinstance(driver, Driver) for driver in drivers.all_drivers())


def test_names_load_no_driver() -> None:
    script = (
        "import sys; from hwctl.config import drivers; drivers.names(); "
        "print(any(name.startswith('hwctl_drivers') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
