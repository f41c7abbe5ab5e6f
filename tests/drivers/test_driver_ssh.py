"""Every way in which a command on a node can end."""

import asyncio
from pathlib import Path

import pytest

from hwctl.model.drivers import SshLogin
from hwctl.model.errors import HostError
from hwctl_drivers import ssh
from hwctl_drivers.ssh import DRIVER, SUDOERS, SshOptions

OPTIONS = {"address": "10.42.0.11", "user": "hwctl"}


def opened(net, **options):
    return DRIVER.open(net, SshOptions(**{**OPTIONS, **options}))


@pytest.mark.parametrize(
    ("order", "command"),
    [("halt", "sudo systemctl poweroff"), ("reboot", "sudo systemctl reboot")],
)
def test_what_is_run_where_and_as_whom(net, order, command):
    network = net()
    asyncio.run(getattr(opened(network), order)())
    login = SshLogin(
        "10.42.0.11",
        22,
        "hwctl",
        Path("/etc/hwctl/ssh/id_ed25519"),
        Path("/etc/hwctl/ssh/known_hosts"),
    )
    assert network.asked == [(login, command, 10.0)]


def test_what_is_run_can_be_chosen(net):
    network = net()
    control = opened(network, halt_command="doas poweroff", reboot_command="doas reboot", port=2222)
    asyncio.run(control.halt())
    asyncio.run(control.reboot())
    assert [asked[1] for asked in network.asked] == ["doas poweroff", "doas reboot"]
    assert network.asked[0][0].port == 2222


@pytest.mark.parametrize("status", [0, None])
def test_agreed_or_gone_before_it_could_say_so(net, status):
    network = net(ended=(status, ""))
    asyncio.run(opened(network).halt())
    assert len(network.asked) == 1


def test_a_refusal_shows_what_was_said_and_the_line_that_helps(net):
    network = net(ended=(1, "sudo: a password is required\nmore\n"))
    with pytest.raises(HostError, match=r"status 1: sudo: a password is required$") as caught:
        asyncio.run(opened(network).halt())
    assert caught.value.where == "hwctl@10.42.0.11"
    assert "hwctl ALL=(root) NOPASSWD: /usr/bin/systemctl poweroff" in caught.value.hint


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("x" * 1000, "x" * 200),
        ("", "it said nothing"),
        ("\x1b[31mred\x07", "?[31mred?"),
    ],
    ids=["long", "silent", "not for a terminal"],
)
def test_what_was_said_is_cut_and_harmless(net, output, said):
    with pytest.raises(HostError) as caught:
        asyncio.run(opened(net(ended=(127, output))).reboot())
    assert caught.value.what.endswith(f"status 127: {said}")


def test_no_connection_is_the_networks_own_error(net):
    error = HostError("no route")
    with pytest.raises(HostError) as caught:
        asyncio.run(opened(net(ended=error)).halt())
    assert caught.value is error


def test_the_documented_line_is_the_one_in_the_hint():
    assert SUDOERS.format(user="hwctl") in ssh.__doc__
