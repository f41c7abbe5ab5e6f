"""Files in sysfs that drivers write: systemd-udevd gives them to the group, as often as needed.

The hubs are QEMU's (lab/boot.py). Whoever switches is not root: a process of the service's group.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from hwctl.config import udev
from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c

DEVICES = Path("/sys/bus/usb/devices")
HUB_DRIVER = Path("/sys/bus/usb/drivers/hub")
RULES = Path("/run/udev/rules.d")
QEMU_HUB = "0409"
GID, UID = 987, 986


def answers() -> bool:
    """Whether systemd-udevd does."""
    ping = ["udevadm", "control", "--ping"]
    return subprocess.run(ping, check=False, stderr=subprocess.DEVNULL).returncode == 0


def settled() -> None:
    subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)


@pytest.fixture
def udevd(eventually):
    """systemd-udevd with our rules, in a system that has the group hwctl."""
    group = Path("/run/group-of-sysfs")
    group.write_text(Path("/etc/group").read_text() + f"hwctl:x:{GID}:\n")
    subprocess.run(["mount", "--bind", group, "/etc/group"], check=True)
    RULES.mkdir(parents=True, exist_ok=True)
    (RULES / udev.NAME).write_text(udev.text([]))
    process = subprocess.Popen(["/lib/systemd/systemd-udevd", "--resolve-names=early"])
    eventually(answers)
    yield
    process.terminate()
    assert process.wait(30) == 0
    # The serial adapters behind the hub got names, which nobody would take away any more.
    shutil.rmtree("/dev/hwctl", ignore_errors=True)
    (RULES / udev.NAME).unlink()
    subprocess.run(["umount", "/etc/group"], check=True)


@pytest.fixture
def hub(load, eventually):
    """The hub that switches its ports."""
    load("xhci_pci")

    def found() -> str | None:
        names = (path.parent for path in DEVICES.glob("*-1/idVendor"))
        return next(
            (one.name for one in names if (one / "idVendor").read_text().strip() == QEMU_HUB), None
        )

    return eventually(found)


def write(file: Path, text: str) -> bool:
    """As the service: neither root nor with a capability. :returns: whether the kernel took it."""
    words = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "--no-new-privs"]
    done = subprocess.run(
        [*words, "tee", str(file)], input=text, text=True, capture_output=True, check=False
    )
    return done.returncode == 0


def test_a_hub_s_ports_belong_to_the_group_and_again_after_a_replug(hub, udevd, eventually):
    interface = DEVICES / f"{hub}:1.0"
    disable = interface / f"{hub}-port4/disable"
    assert disable.group() == "root"
    assert not write(disable, "1")
    # What `hwctl install` does for hubs that are there.
    subprocess.run(["udevadm", "trigger", "--property-match=DRIVER=hub"], check=True)
    settled()
    for port in range(1, 5):
        file = interface / f"{hub}-port{port}/disable"
        assert (file.owner(), file.group()) == ("root", "hwctl")
        assert file.stat().st_mode & 0o777 == 0o664
    others = [one for one in (interface / f"{hub}-port4").iterdir() if one.is_file()]
    assert {one.name for one in others if one.group() == "hwctl"} == {"disable"}
    assert write(disable, "1")
    assert disable.read_text() == "1\n"
    assert write(disable, "0")

    # The kernel makes the files anew, root's own.
    (HUB_DRIVER / "unbind").write_text(interface.name)
    eventually(lambda: not disable.exists())
    (HUB_DRIVER / "bind").write_text(interface.name)
    eventually(disable.exists)
    settled()
    eventually(lambda: disable.group() == "hwctl")
    assert write(disable, "1")
    assert write(disable, "0")
    # What hangs on the hub is all there again.
    eventually(lambda: len(list(DEVICES.glob(f"{hub}.[12]/{hub}.*:1.0"))) == 2)
    settled()


def test_a_fan_s_file_in_hwmon_belongs_to_the_group(udevd, plug_in, load, eventually):
    load("emc2305")
    bus = EmulatedI2c("lab")
    bus.place(0x2E, Emc230x(5, lambda: 0.0), "fans")
    device = plug_in(bus).bind("emc2305", 0x2E)
    pwm = eventually(lambda: next(iter(device.glob("hwmon/hwmon*/pwm1")), None))
    settled()
    eventually(lambda: pwm.group() == "hwctl")
    assert pwm.stat().st_mode & 0o777 == 0o664
    speed = pwm.with_name("fan1_input")
    assert (speed.group(), speed.stat().st_mode & 0o222) == ("root", 0)
    assert write(pwm, "255")
