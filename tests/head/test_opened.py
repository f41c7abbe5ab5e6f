"""What the unit opens for a rig: the devices and folders that its files name, and no more."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwctl.config.draft import Use
from hwctl.config.load import load
from hwctl.engine.head import contents, opened
from hwctl.engine.head.install import Installer
from hwctl.model.errors import ConfigError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers import hwmon_fan, power_supply, pwm_fan

CLASSES = ("gpiochip", "i2c", "spi", "ttyUSB", "ttyACM", "hidraw")
PI4 = "/sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0"
SYSFS = '[bus.sys]\nkind = "sysfs"\n'
HUB = '[device.hub]\ndriver = "usb_port"\nbus = "sys"\nport = "1-1.3"\nusb3_port = "2-1.3"\n'


@pytest.fixture
def rig(tmp_path):
    """A rig with some buses and devices."""

    def written(text):
        (tmp_path / "rig.toml").write_text(
            f'[rig]\nname = "rig"\n[board]\nmodel = "RockPro64"\n{text}'
        )
        settings = tmp_path / "rig.hwctl.toml"
        settings.write_text('wiring = "rig.toml"\n[shutdown]\nstages = []\n')
        return load(settings)

    return written


def with_device(loaded, driver, **options):
    """A rig with one device more, on its bus `sys`."""
    entry = DeviceEntry.model_validate({"driver": driver.name, "bus": "sys", **options})
    wiring = loaded.wiring.model_copy(update={"device": {"more": entry}})
    return replace(loaded, wiring=wiring, devices={"more": Use(driver, driver.options(**options))})


def bus(kind, path):
    return f'[bus.one]\nkind = "{kind}"\npath = "{path}"\n'


@pytest.mark.parametrize(
    ("kind", "path", "allowed"),
    [
        ("serial", "/dev/ttyUSB0", []),
        ("serial", "/dev/hwctl/relays", []),
        ("serial", "/dev/ttyAMA0", ["char-ttyAMA"]),
        ("modbus", "/dev/ttyS1", ["char-ttyS"]),
        ("modbus", "10.0.0.7:502", []),
        ("serial", "/dev/serial/by-id/usb-relay", ["char-ttyXR"]),
        ("serial", "/dev/relays", ["/dev/relays"]),
        ("hid", "/dev/hidraw3", []),
        ("i2c", "/dev/i2c-1", []),
        ("spi", "/dev/spidev0.0", []),
        ("gpio", "/dev/gpiochip0", []),
        ("gpio", "pinctrl-bcm2835", []),
    ],
)
def test_a_device_is_allowed_by_its_class_if_it_has_one(head, rig, kind, path, allowed):
    head.put("/dev/ttyXR0")
    head.link("/dev/serial/by-id/usb-relay", "../../ttyXR0")
    assert opened.devices(head.machine(), rig(bus(kind, path)), CLASSES) == allowed


@pytest.mark.parametrize("path", ["/dev/x rw\\nExecStartPre=+/bin/sh", "/dev/%h", "/dev/a b"])
def test_nothing_but_a_path_gets_into_a_unit(head, rig, path):
    with pytest.raises(ConfigError) as caught:
        opened.devices(head.machine(), rig(bus("serial", path)), CLASSES)
    assert caught.value.where.startswith("bus one")


def test_a_rig_that_writes_nothing_in_sysfs_opens_nothing(head, rig):
    battery = with_device(rig(SYSFS), power_supply.DRIVER, name="BAT0")
    for one in (rig(SYSFS), battery, rig(bus("i2c", "/dev/i2c-1"))):
        assert opened.folders(head.machine(), one) == []


def test_hub_ports_open_the_controller_which_stays_when_a_hub_goes(head, rig):
    for number in (1, 2):
        head.put(f"{PI4}/usb{number}/idVendor")
        head.link(f"/sys/bus/usb/devices/usb{number}", f"../../../{PI4[5:]}/usb{number}")
    assert opened.folders(head.machine(), rig(SYSFS + HUB)) == [PI4]


def test_what_is_not_there_yet_opens_all_devices(head, rig):
    bare = rig(SYSFS)
    for one in (
        rig(SYSFS + HUB),
        with_device(bare, hwmon_fan.DRIVER, chip="nct6775"),
        with_device(bare, pwm_fan.DRIVER, chip="fe20c000.pwm"),
    ):
        assert opened.folders(head.machine(), one) == ["/sys/devices"]


def test_fans_of_hwmon_open_the_chip_and_not_its_number(head, rig):
    for number, chip in ((0, "coretemp"), (3, "nct6775")):
        folder = f"devices/platform/{chip}.656/hwmon/hwmon{number}"
        head.put(f"/sys/{folder}/name", f"{chip}\n")
        head.link(f"/sys/class/hwmon/hwmon{number}", f"../../{folder}")
    machine, bare = head.machine(), rig(SYSFS)
    wanted = ["/sys/devices/platform/nct6775.656"]
    for device in (None, "nct6775.656"):
        one = with_device(bare, hwmon_fan.DRIVER, chip="nct6775", device=device)
        assert opened.folders(machine, one) == wanted
    other = with_device(bare, hwmon_fan.DRIVER, chip="nct6775", device="nct6775.672")
    assert opened.folders(machine, other) == ["/sys/devices"]


def test_pwm_outputs_open_the_controller(head, rig):
    folder = "devices/platform/soc/fe20c000.pwm/pwm/pwmchip0"
    head.put(f"/sys/{folder}/npwm", "2\n")
    head.link("/sys/class/pwm/pwmchip0", f"../../{folder}")
    wanted = ["/sys/devices/platform/soc/fe20c000.pwm"]
    for chip in ("fe20c000.pwm", "pwmchip0"):
        one = with_device(rig(SYSFS), pwm_fan.DRIVER, chip=chip)
        assert opened.folders(head.machine(), one) == wanted


def test_a_fan_controller_that_the_kernel_has_taken(head, rig):
    text = bus("i2c", "/dev/i2c-1") + (
        '[device.fans]\ndriver = "emc230x"\nbus = "one"\naddress = 0x2e\n'
    )
    taken = rig(text)
    assert opened.folders(head.machine(), taken) == []
    head.put("/sys/devices/platform/i2c-1/1-002e/driver/x")
    head.link("/sys/bus/i2c/devices/1-002e", "../../../devices/platform/i2c-1/1-002e")
    assert opened.folders(head.machine(), taken) == ["/sys/devices/platform/i2c-1/1-002e"]


def test_install_puts_it_into_the_unit(pi, rig):
    loaded = rig(SYSFS + HUB + bus("serial", "/dev/ttyAMA0"))
    config = loaded.wiring_path.with_name("rig.hwctl.toml")
    plan = Installer(pi.machine(), None).plan(Path("/opt/hwctl/bin/hwctl"), config)
    (text,) = [one.new for one in plan.changes if one.path == contents.UNIT_PATH]
    assert "\nDeviceAllow=char-ttyAMA rw\n" in text
    assert "\nReadWritePaths=-/sys/devices\n" in text
    assert "\nProtectKernelTunables=yes\n" in text
