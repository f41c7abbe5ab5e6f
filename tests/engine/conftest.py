"""Two GPIO chips, seen from the side where the wires are: one bench, made in two ways.

``fake`` is a kernel of our own making. It refuses what gpiolib-cdev.c refuses, and does with a line
what gpio-sim does with it. ``gpio-sim`` is Linux's own; it needs root, `modprobe gpio-sim`,
configfs and tracefs. The same tests run on both, which keeps the fake honest.
"""

import errno
import os
import re
import uuid
from pathlib import Path

import pytest

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.gpio_cdev import CdevFactory
from hwctl.engine.gpio_uapi import Flag

LINE_CALLS = (uapi.SET_CONFIG, uapi.GET_VALUES, uapi.SET_VALUES)
SIM = Path("/sys/kernel/config/gpio-sim")
TRACING = Path("/sys/kernel/tracing")
NAMES = {3: "RELAY", 4: "TWIN", 5: "TWIN", 6: "GPIO7"}
"""What the first chip's lines are called; GPIO7 is a trap."""


class FakeLine:
    def __init__(self):
        self.name = self.consumer = ""
        self.flags = Flag(0)
        self.output = self.level = self.pulled_up = False
        self.debounce_us = 0
        self.sink = -1
        self.edges = 0
        self.drives = []

    def set(self, level):
        if level != self.level:
            self.level = level
            self.drives.append(level)

    def push(self, level, stamp_ns):
        """What is wired to the line pulls it."""
        self.pulled_up = level
        if self.output or level == self.level:
            return
        self.level = level
        if self.flags & (Flag.EDGE_RISING if level else Flag.EDGE_FALLING):
            self.edges += 1
            os.write(
                self.sink,
                uapi.LineEvent(timestamp_ns=stamp_ns, id=1 if level else 2, line_seqno=self.edges),
            )


class FakeKernel:
    """A kernel whose GPIO chips are regular files in a folder."""

    def __init__(self, dev):
        self.dev = dev
        self.chips = {}
        """device name -> (label, lines)"""
        self.denied = {}
        """(device name, request or "open") -> errno"""
        self.held = {}
        """descriptor's inode -> line"""
        self.now_ns = 0

    def add(self, name, label, lines=32):
        (self.dev / name).touch()
        self.chips[name] = (label, [FakeLine() for _ in range(lines)])
        return self.chips[name][1]

    def unplug(self, name):
        """Every call fails from now on, and whoever waits for edges is woken."""
        for request in ("open", uapi.GET_LINEINFO, uapi.GET_LINE, *LINE_CALLS):
            self.denied[name, request] = errno.ENODEV
        for line in self.chips[name][1]:
            if line.sink >= 0:
                os.close(line.sink)
                line.sink = -1

    def open(self, path):
        self._deny(Path(path).name, "open")
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, fd, request, argument):
        line = self.held.get(os.fstat(fd).st_ino)
        if line:
            self._deny(line.chip, request)
            return self._line(line, request, argument)
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        self._deny(name, request)
        if name not in self.chips:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        label, lines = self.chips[name]
        if request == uapi.GET_CHIPINFO:
            argument.name, argument.label = name.encode(), label.encode()
            argument.lines = len(lines)
            return None
        return self._chip(name, lines, request, argument)

    def _chip(self, name, lines, request, argument):
        offset = argument.offset if request == uapi.GET_LINEINFO else argument.offsets[0]
        refuse(errno.EINVAL, offset >= len(lines))
        line = lines[offset]
        if request == uapi.GET_LINEINFO:
            argument.name, argument.consumer = line.name.encode(), line.consumer.encode()
            direction = Flag.OUTPUT if line.output else Flag.INPUT
            used = Flag.USED if line.consumer else Flag(0)
            argument.flags = line.flags | direction | used
            if line.debounce_us:
                argument.num_attrs = 1
                argument.attrs[0].id = uapi.ATTR_DEBOUNCE
                argument.attrs[0].debounce_period_us = line.debounce_us
            return
        assert request == uapi.GET_LINE
        refuse(errno.EBUSY, line.consumer)
        refuse(errno.EINVAL, argument.num_lines != 1)
        line.chip = name
        line.consumer = argument.consumer.decode()
        source, line.sink = os.pipe2(os.O_CLOEXEC)
        self.held[os.fstat(source).st_ino] = line
        argument.fd = source
        self._configure(line, argument.config)

    def _line(self, line, request, argument):
        if request == uapi.GET_VALUES:
            argument.bits = int(line.level)
        elif request == uapi.SET_VALUES:
            refuse(errno.EPERM, not line.output)
            line.set(bool(argument.bits & 1))
        else:
            assert request == uapi.SET_CONFIG
            self._configure(line, argument)

    def _configure(self, line, config):
        """gpio_v2_line_config_validate, then linereq_set_config."""
        flags = Flag(config.flags)
        attributes = {one.attr.id: one.attr for one in config.attrs[: config.num_attrs]}
        directions = flags & (Flag.INPUT | Flag.OUTPUT)
        refuse(errno.EINVAL, directions == Flag.INPUT | Flag.OUTPUT)
        refuse(errno.EINVAL, flags & uapi.BIAS and not directions)
        refuse(errno.EINVAL, (flags & uapi.BIAS).bit_count() > 1)
        refuse(errno.EINVAL, flags & uapi.EDGES and not flags & Flag.INPUT)
        refuse(errno.EINVAL, uapi.ATTR_DEBOUNCE in attributes and not flags & Flag.INPUT)
        line.flags = flags & (uapi.BIAS | uapi.EDGES)
        if not directions:
            return
        if flags & (Flag.BIAS_PULL_UP | Flag.BIAS_PULL_DOWN):
            line.pulled_up = bool(flags & Flag.BIAS_PULL_UP)
        line.output = bool(flags & Flag.OUTPUT)
        if line.output:
            value = attributes.get(uapi.ATTR_OUTPUT_VALUES)
            line.set(bool(value and value.values & 1))
        else:
            line.set(line.pulled_up)
        debounce = attributes.get(uapi.ATTR_DEBOUNCE)
        line.debounce_us = debounce.debounce_period_us if debounce else 0

    def _deny(self, name, request):
        refuse(self.denied.get((name, request), 0), (name, request) in self.denied)


def refuse(number, condition):
    if condition:
        raise OSError(number, os.strerror(number))


class Bench:
    """Two chips of 32 lines; what both ways have in common."""

    kernel: uapi.Kernel
    real: bool
    dev: Path
    names: list[str]

    def __init__(self):
        self._factories = []

    def factory(self, chip=0, **options):
        made = CdevFactory(self.names[chip], dev=self.dev, kernel=self.kernel, **options)
        self._factories.append(made)
        return made

    def info(self, offset, chip=0):
        """What the kernel tells anybody about the line."""
        fd = self.kernel.open(str(self.dev / self.names[chip]))
        info = uapi.line_info(self.kernel, fd, offset)
        os.close(fd)
        return info

    def hold(self, offset, consumer):
        """Another program takes a line of the first chip. :returns: its descriptor."""
        fd = self.kernel.open(str(self.dev / self.names[0]))
        line = uapi.request_as_is(self.kernel, fd, offset, consumer)
        os.close(fd)
        return line

    def close(self):
        """The process ends."""
        for factory in self._factories:
            factory.close()
            factory._chip.close()
            for fd in factory.fds().values():
                os.close(fd)


class FakeBench(Bench):
    real = False

    def __init__(self, folder):
        super().__init__()
        self.dev = folder
        self.kernel = FakeKernel(folder)
        self.names = ["gpiochip0", "gpiochip1"]
        self._lines = [self.kernel.add(name, f"bench-{name}") for name in self.names]
        for offset, name in NAMES.items():
            self._lines[0][offset].name = name

    def level(self, offset, chip=0):
        return self._lines[chip][offset].level

    def push(self, offset, level, chip=0):
        self.kernel.now_ns += 1_000_000
        self._lines[chip][offset].push(level, self.kernel.now_ns)

    def pulled_up(self, offset, chip=0):
        return self._lines[chip][offset].pulled_up

    def changes(self, offset, chip=0):
        """The levels that the head drove the line to, as far as they changed anything."""
        return self._lines[chip][offset].drives

    def unplug(self, chip=0):
        self.kernel.unplug(self.names[chip])

    def close(self):
        super().close()
        for name in self.names:
            self.kernel.unplug(name)


class SimBench(Bench):
    """What was driven is told by the kernel's own tracing, not by what it looks like later."""

    real = True

    def __init__(self):
        super().__init__()
        self.dev = Path("/dev")
        self.kernel = uapi.LinuxKernel()
        self._configs, self.names, self._folders, self._bases = [], [], [], []
        for chip in range(2):
            config = SIM / f"hwctl-{uuid.uuid4().hex[:8]}"
            bank = config / "bank0"
            bank.mkdir(parents=True)
            (bank / "num_lines").write_text("32")
            for offset, name in () if chip else NAMES.items():
                (bank / f"line{offset}").mkdir()
                (bank / f"line{offset}" / "name").write_text(name)
            (config / "live").write_text("1")
            name = (bank / "chip_name").read_text().strip()
            device = (config / "dev_name").read_text().strip()
            self._configs.append(config)
            self.names.append(name)
            self._folders.append(Path("/sys/devices/platform") / device / name)
            about = Path("/sys/kernel/debug/gpio").read_text()
            self._bases.append(int(re.search(rf"^{name}: GPIOs (\d+)-", about, re.MULTILINE)[1]))
        (TRACING / "trace").write_text("")
        (TRACING / "events/gpio/gpio_value/enable").write_text("1")
        self._seen = {}

    def level(self, offset, chip=0):
        return (self._folders[chip] / f"sim_gpio{offset}/value").read_text() == "1\n"

    def push(self, offset, level, chip=0):
        pull = self._folders[chip] / f"sim_gpio{offset}/pull"
        pull.write_text("pull-up" if level else "pull-down")
        self._seen[self._bases[chip] + offset] = level

    def pulled_up(self, offset, chip=0):
        pull = self._folders[chip] / f"sim_gpio{offset}/pull"
        return pull.read_text() == "pull-up\n"

    def changes(self, offset, chip=0):
        number = self._bases[chip] + offset
        level, changes = self._seen.get(number, False), []
        trace = (TRACING / "trace").read_text()
        for value in re.findall(rf"gpio_value: {number} set (\d)", trace):
            if (value == "1") != level:
                level = not level
                changes.append(level)
        return changes

    def unplug(self, chip=0):
        live = self._configs[chip] / "live"
        if live.read_text() == "1\n":
            live.write_text("0")

    def close(self):
        super().close()
        (TRACING / "events/gpio/gpio_value/enable").write_text("0")
        for chip, config in enumerate(self._configs):
            self.unplug(chip)
            for folder in sorted(config.glob("**/"), reverse=True):
                folder.rmdir()


@pytest.fixture(params=["fake", "gpio-sim"])
def bench(request, tmp_path):
    if request.param == "gpio-sim" and not SIM.is_dir():
        pytest.skip(f"no gpio-sim: there is no {SIM}")
    bench = FakeBench(tmp_path) if request.param == "fake" else SimBench()
    yield bench
    bench.close()


@pytest.fixture
def machine(tmp_path):
    """A machine without chips, to be filled."""
    return FakeKernel(tmp_path)
