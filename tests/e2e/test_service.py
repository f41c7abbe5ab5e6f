"""The three uses, from outside: lights, shutdown, power; and a crash at any moment."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Wait = Callable[..., Any]


def test_the_command_line_sees_switches_and_locates(service: Any, wait_for: Wait) -> None:
    service.start(speed=20)
    wait_for("all nodes up", service.all_up)
    assert "hwctl" in service.hwctl("--version")
    rig = json.loads(service.hwctl("status", "--json"))
    assert [node["id"] for node in rig["nodes"]] == ["pi0", "pi1", "pi2", "pi3"]
    text = service.hwctl("status")
    for word in ("The football", "bank", "pi0", "orchestrator", "intake", "lid", "standby"):
        assert word in text
    assert service.hwctl("power", "status", "pi1") == "pi1  on  up\n"

    boots = service.world()["nodes"]["pi2"]["boots"]
    story = service.hwctl("power", "cycle", "pi2", "--reason", "a test")
    steps = ["halt", "prove-halt", "cut", "verify-off", "drain", "admit", "switch-on", "verify-on"]
    told = [line.split()[1] for line in story.splitlines() if line.startswith("pi2")]
    assert told[:8] == steps
    assert "done" in story
    after = service.world()["nodes"]["pi2"]
    assert (after["boots"], after["dirty"]) == (boots + 1, 0)

    service.hwctl("locate", "pi3")
    wait_for("pi3 blinks", lambda: service.node("pi3")["locate"])
    service.hwctl("locate", "pi3", "--off")
    wait_for("pi3 is dark again", lambda: not service.node("pi3")["locate"])
    events = json.loads(service.hwctl("events", "--json"))
    assert [e["kind"] for e in events if e["subject"] == "pi2"] == ["power.begun", "power.done"]
    assert service.stop() == 0


def test_what_is_refused_says_why_and_what_to_do(service: Any, wait_for: Wait) -> None:
    service.start(speed=20)
    wait_for("all nodes up", service.all_up)
    assert "no node 'pi9'" in service.hwctl("power", "off", "pi9", expect=1)
    first = service.send("POST", "/api/v1/nodes/pi1/power", {"action": "cycle"})
    assert first.status_code == 202
    second = service.send("POST", "/api/v1/nodes/pi1/power", {"action": "off"})
    assert second.status_code == 409
    assert second.json()["operation"] == first.json()["id"]
    assert service.hwctl("power", "explode", "pi1", expect=2)
    assert httpx.post(f"{service.url}/api/v1/nodes/pi3/power", json={"action": "off"}).status_code \
        == 401  # fmt: skip
    assert service.world()["outlets"]["feed3"]["on"]


def test_a_token_reaches_as_far_as_it_was_made_for(service: Any, wait_for: Wait) -> None:
    service.start(speed=20)
    wait_for("all nodes up", service.all_up)
    state = ("--state-dir", str(service.state))
    token = service.hwctl("token", "create", "ops", "--scope", "power", "--node", "pi1", *state)
    told = service.hwctl("token", "list", *state)
    assert "ops" in told
    assert token.strip() not in told
    use = ("--url", service.url, "--token", token.strip())
    service.hwctl("power", "cycle", "pi1", *use)
    assert service.hwctl("power", "cycle", "pi2", *use, expect=1)
    service.hwctl("token", "revoke", "ops", *state)
    assert service.hwctl("power", "cycle", "pi1", *use, expect=1)


def test_an_afternoon_in_a_minute(service: Any, wait_for: Wait) -> None:
    """Mains lost, workers halted before the orchestrator, cut, mains back, all up again."""
    service.edit("charge_at_first_start = 0.55", "charge_at_first_start = 0.235")
    service.start(speed=60)
    wait_for("all nodes up", service.all_up)
    service.world({"op": "mains", "on": False})
    wait_for(
        "the shutdown begins",
        lambda: service.get("/api/v1/shutdown")["state"] == "running", 90,
    )  # fmt: skip
    wait_for("all is down", lambda: service.get("/api/v1/shutdown")["state"] == "down", 60)
    truth = service.world()
    assert not any(outlet["on"] for outlet in truth["outlets"].values())
    assert all(node["dirty"] == 0 for node in truth["nodes"].values())
    service.world({"op": "mains", "on": True})
    wait_for("all is back", lambda: service.get("/api/v1/shutdown")["state"] == "standby", 90)
    wait_for("all nodes up", service.all_up)
    ops = service.get("/api/v1/operations")
    offs = {op["target"]: op for op in ops if op["kind"] == "off"}
    ons = {op["target"]: op for op in ops if op["kind"] == "on"}
    workers = ("pi1", "pi2", "pi3")
    assert all(offs[w]["finished"] <= offs["pi0"]["started"] for w in workers)
    assert all(ons[w]["started"] >= ons["pi0"]["finished"] for w in workers)
    assert all(op["forced"] is None for op in offs.values())
    truth = service.world()
    assert all(node["dirty"] == 0 for node in truth["nodes"].values())
    assert truth["rails"]["5v"]["overruns"] == 0


STEPS = ("prove-halt", "drain", "came-back")


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_in_the_middle_of_a_cycle(service: Any, wait_for: Wait, step: str) -> None:
    """SIGKILL at a step; after the restart the cycle is carried through, once."""
    service.start(speed=4)
    wait_for("all nodes up", service.all_up)
    before = service.world()
    begun = service.send("POST", "/api/v1/nodes/pi2/power", {"action": "cycle"}).json()
    path = f"/api/v1/operations/{begun['id']}"
    wait_for(f"it is at {step}", lambda: service.get(path)["step"] == step, 60)
    service.kill()
    between = service.world()
    for feed in ("feed0", "feed1", "feed3"):
        assert between["outlets"][feed]["on"], "a crash changes no outlet"
    service.start(speed=4)
    others = service.world()
    for feed in ("feed0", "feed1", "feed3"):
        assert others["outlets"][feed]["on"], "a start changes no outlet"
    done = wait_for("it is carried through", lambda: _ended(service.get(path)), 90)
    assert done["state"] == "done", done
    after = service.world()
    assert after["nodes"]["pi2"]["boots"] == before["nodes"]["pi2"]["boots"] + 1
    assert after["nodes"]["pi2"]["dirty"] == 0
    assert [s["name"] for s in done["steps"]].count("cut") == 1
    assert any(e["kind"] == "power.resumed" for e in service.get("/api/v1/events"))


def _ended(op: Any) -> Any:
    return op if op["state"] in ("done", "failed", "cancelled") else None


def test_stop_and_start_change_no_outlet(service: Any, wait_for: Wait) -> None:
    service.start(speed=4)
    wait_for("all nodes up", service.all_up)
    boots = {name: node["boots"] for name, node in service.world()["nodes"].items()}
    service.kill()
    service.start(speed=4)
    wait_for("all nodes up", service.all_up)
    after = service.world()
    assert {name: node["boots"] for name, node in after["nodes"].items()} == boots
    assert all(outlet["on"] for outlet in after["outlets"].values())


def test_two_services_do_not_share_a_journal(service: Any) -> None:
    service.start(speed=20)
    said = service.hwctl(
        "run", "--config", str(service.config), "--emulate", "--port", "0",
        "--state-dir", str(service.state), expect=1,
    )  # fmt: skip
    assert "another hwctl" in said
    assert "--state-dir" in said


def test_systemd_is_told(service: Any, tmp_path: Any) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        service.env["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        service.start()
        said = [systemd.recv(1000) for _ in range(3)]
        assert said[0].startswith(b"READY=1\nSTATUS=serving")
        assert said[1:] == [b"WATCHDOG=1"] * 2
        service.process.terminate()
        last = b""
        while last != b"STOPPING=1":
            last = systemd.recv(1000)


def test_check_and_run_refuse_bad_files_with_their_line(service: Any) -> None:
    service.edit("brightness = 0.5", "brightnes = 0.5")
    text = service.config.read_text().splitlines()
    line = next(n for n, words in enumerate(text, 1) if words.startswith("brightnes"))
    for words in (
        ("check", str(service.config)),
        ("run", "--config", str(service.config), "--emulate", "--port", "0"),
    ):
        said = service.hwctl(*words, expect=1)
        assert f"{service.config}:{line}: " in said
        assert "brightness" in said, "the nearest known key"
    wiring = service.folder / "football.toml"
    wiring.write_text(wiring.read_text().replace("address = 0x41", "address = 0x40"))
    said = service.hwctl("check", str(wiring), expect=1)
    assert "bank-in" in said
    assert "bank-out" in said
