"""Pins by name, against what is printed on the boards."""

import pytest

from hwctl.config.board import BoardPins
from hwctl.model.errors import ConfigError
from hwctl.model.wiring import Board


def pins(model: str, revision: int | None = None) -> BoardPins:
    return BoardPins(Board(model=model, revision=revision))


HEADER = {3: 2, 5: 3, 7: 4, 8: 14, 11: 17, 12: 18, 16: 23, 19: 10, 26: 7, 29: 5, 31: 6, 40: 21}
"""Header pin -> GPIO, from the drawing of the 40-pin header in raspberrypi.com's documentation
(unverified), in use on every board since the B+."""


@pytest.mark.parametrize(
    "model",
    [
        "Raspberry Pi Zero 2 W",
        "Raspberry Pi Zero W",
        "Raspberry Pi 3B+",
        "Raspberry Pi 3 Model B Plus Rev 1.3",
        "Raspberry Pi 4B",
        "Raspberry Pi 4 Model B Rev 1.4",
        "Raspberry Pi 400",
        "Raspberry Pi 5",
        "Raspberry Pi 5 Model B",
        "Raspberry Pi Compute Module 4",
        "raspberry pi 5b",
    ],
)
def test_boards_with_the_40_pin_header(model: str) -> None:
    board = pins(model)
    assert board.known
    assert board.doubt is None
    for pin, line in HEADER.items():
        found = board.resolve(f"J8:{pin}")
        assert (found.line, found.label) == (line, f"J8:{pin} (GPIO{line})")


@pytest.mark.parametrize("name", ["J8:11", "GPIO17", "17", "gpiochip0:17", "BCM17", "GPIO017"])
def test_one_line_under_its_names(name: str) -> None:
    pin = pins("Raspberry Pi 4B").resolve(name)
    assert (pin.name, pin.line, pin.label) == (name, 17, "J8:11 (GPIO17)")


@pytest.mark.parametrize("name", ["J8:41", "J8:0", "GPIO28", "99", "-1", "P1:7", "", "J8", "j8:11"])
def test_pins_that_do_not_exist(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no pin") as caught:
        pins("Raspberry Pi 4B").resolve(name)
    assert "J8:11" in caught.value.hint


@pytest.mark.parametrize("name", ["J8:1", "J8:2", "J8:6", "GND", "3V3"])
def test_pins_that_are_no_gpio(name: str) -> None:
    with pytest.raises(ConfigError, match="not a GPIO line"):
        pins("Raspberry Pi 4B").resolve(name)


def test_the_revision_wins() -> None:
    assert pins("my own name for it", 0x902120).resolve("J8:7").line == 4
    old = pins("Raspberry Pi 4B", 0x0002)
    assert old.resolve("P1:7").label == "P1:7 (GPIO4)"
    with pytest.raises(ConfigError, match="there is no pin `J8:7`"):
        old.resolve("J8:7")


@pytest.mark.parametrize("revision", [0, 1, 0x800FF0, -1, 1 << 60])
def test_a_revision_that_nobody_knows(revision: int) -> None:
    board = pins("Raspberry Pi 4B", revision)
    assert not board.known
    assert board.doubt is not None
    assert "no board is known by the revision code" in board.doubt[0]


def test_a_pull_at_boot_is_told_for_raspberry_pis_only() -> None:
    pulls = [pins("Raspberry Pi 4B").resolve(str(line)).boot_pull for line in range(28)]
    assert pulls == ["up"] * 9 + ["down"] * 19
    assert pins("RockPro64").resolve("4").boot_pull is None
    assert pins("Raspberry Pi 4B").resolve_elsewhere("4").boot_pull is None


@pytest.mark.parametrize("model", ["RockPro64", "Generic x86-64", "", "BeaglePlay"])
def test_other_boards_take_lines_unchecked(model: str) -> None:
    board = pins(model)
    assert not board.known
    assert board.doubt is None
    assert [board.resolve(name).line for name in ("17", "GPIO17", "gpiochip3:17")] == [17] * 3
    assert board.resolve("gpiochip3:17").label == "line 17"
    named = board.resolve("PIN_11")
    assert (named.line, named.label) == (None, "line PIN_11")


@pytest.mark.parametrize("name", ["J8:11", "P1:7", "", " ", "\x1b[31m"])
def test_names_that_mean_nothing_on_other_boards(name: str) -> None:
    with pytest.raises(ConfigError):
        pins("RockPro64").resolve(name)


def test_a_slip_in_the_name_of_a_board() -> None:
    board = pins("Raspberry Pi Zreo 2 W")
    assert not board.known
    assert board.doubt is not None
    assert "did you mean `Raspberry Pi Zero2W`?" in board.doubt[1]
    assert pins("Raspberry Pi Zero2W").known


def test_lines_of_an_expander_are_its_own() -> None:
    board = pins("Raspberry Pi 4B")
    assert board.resolve_elsewhere("99").label == "line 99"
    assert board.resolve_elsewhere("J8:11").label == "J8:11 (GPIO17)"
