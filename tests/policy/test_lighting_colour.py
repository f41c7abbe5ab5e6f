"""The colours: a ramp that can be read by the colour-blind and in grey."""

from itertools import pairwise

import pytest

from hwctl.policy import colour


def test_the_ramp_only_gets_lighter():
    lightness = [colour.oklab(rgb)[0] for rgb in colour.ramp()]
    assert all(b > a for a, b in pairwise(lightness))
    assert lightness[0] > 0.4, "the cool end can be seen"


def test_the_ramp_runs_from_blue_over_yellow_to_white():
    ramp = colour.ramp()
    assert ramp[0] == colour.BLUE
    assert ramp[-1] == colour.WHITE
    assert (
        min(sum(abs(a - b) for a, b in zip(rgb, colour.YELLOW, strict=True)) for rgb in ramp) < 12
    )


def test_no_two_colours_of_the_ramp_differ_by_red_against_green():
    green_red = [colour.oklab(rgb)[1] for rgb in colour.ramp()]
    assert max(abs(value) for value in green_red) < 0.06, "all lie near the axis of blue and yellow"


def test_oklab_of_known_colours():
    # Ottosson's transformation maps white to lightness 1 and no colour, black to nothing.
    assert colour.oklab(colour.WHITE) == pytest.approx((1.0, 0.0, 0.0), abs=1e-4)
    assert colour.oklab(colour.DARK) == pytest.approx((0.0, 0.0, 0.0))


@pytest.mark.parametrize("share", [1 / 64, 0.1, 0.5, 1.0])
def test_what_is_lit_stays_lit_when_it_is_dimmed(share):
    table = colour.dimmer(share)
    assert table[0] == 0
    assert all(table[value] >= 1 for value in range(1, 256))
    assert table[255] == round(255 * round(share * 64) / 64)


def test_dimmed_to_nothing_is_dark():
    assert not any(colour.dimmer(0.0))


def test_temperatures_beyond_the_ramp_have_the_colour_of_its_ends():
    assert colour.of_temperature(-5.0) == colour.ramp()[0]
    assert colour.of_temperature(120.0) == colour.ramp()[-1]
