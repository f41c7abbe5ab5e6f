"""What reaches an outlet when its order's turn has come."""

import pytest

from hwctl.engine.assembly import switcher
from hwctl.engine.orders import Begun
from hwctl.model.errors import DeviceError
from hwctl.policy.operation import Action, Step


class Outlet:
    """A device that notes what it is told."""

    def __init__(self):
        self.told = []

    def set(self, channel, on):
        self.told.append(("set", channel, on))

    def cycle(self, channel, off_s):
        self.told.append(("cycle", channel, off_s))

    def ask(self, channel):
        self.told.append(("ask", channel))

    def recall(self, known):
        self.told.append(("recall", dict(known)))


def action(verb, on=None, off_s=0.0):
    return Action("op-1", Step.CUT, verb, "feed1", on=on, off_s=off_s)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (action("switch", on=False), ("set", 3, False)),
        (action("switch", on=True), ("set", 3, True)),
        (action("cycle", off_s=6.0), ("cycle", 3, 6.0)),
        (action("halt"), ("ask", 3)),
    ],
)
def test_what_is_wanted_is_done_after_what_was_known_is_recalled(order, told):
    outlet, begun = Outlet(), Begun(lambda: True)
    switcher(order, 3, {1: True}, begun)(outlet)
    assert outlet.told == [("recall", {1: True}), told]
    assert begun.yes


def test_what_is_not_wanted_any_more_touches_nothing_and_has_not_begun():
    outlet, begun = Outlet(), Begun(lambda: False)
    assert switcher(action("switch", on=False), 3, {}, begun)(outlet) is None
    assert outlet.told == []
    assert not begun.yes, "and so nothing is assumed of it"


def test_an_outlet_is_never_switched_for_a_reboot():
    outlet = Outlet()
    with pytest.raises(DeviceError, match="reboot"):
        switcher(action("reboot"), 3, {}, Begun(lambda: True))(outlet)
    assert [word for word, *_ in outlet.told] == ["recall"]
