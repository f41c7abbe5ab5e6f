"""Several nodes at once, the audit record and TLS, by the command line."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Wait = Callable[..., Any]


def test_a_group_goes_off_and_on_and_the_record_tells_of_it(service: Any, wait_for: Wait) -> None:
    service.edit("[supply.bank]", '[group]\nhalf = ["pi0", "pi1"]\n\n[supply.bank]')
    service.start(speed=20)
    wait_for("all nodes up", service.all_up)
    told = service.hwctl("power", "off", "@compute", "--reason", "night")
    for node in ("pi1", "pi2", "pi3"):
        assert re.search(rf"^{node}  off  done", told, re.MULTILINE), told
    assert "pi0" not in told
    said = service.hwctl("power", "status", "all").splitlines()
    assert said == ["pi0  on  up", *[f"{node}  off  halted" for node in ("pi1", "pi2", "pi3")]]
    assert all(node["dirty"] == 0 for node in service.world()["nodes"].values())

    begun = json.loads(service.hwctl("power", "on", "pi[2-3]", "--no-wait", "--json"))
    assert [op["target"] for op in begun] == ["pi2", "pi3"]
    again = service.hwctl("power", "off", "pi2", "pi1", expect=1)
    assert begun[0]["id"] in again, "it names the operation that holds pi2"
    assert "there is no group @racks" in service.hwctl("power", "on", "@racks", expect=1)
    assert "is no range" in service.hwctl("power", "on", "pi[3-1]", expect=1)
    assert service.hwctl("power", "status", "@half").split()[::3] == ["pi0", "pi1"]
    wait_for(
        "both are up",
        lambda: all(service.node(node)["os"] == "up" for node in ("pi2", "pi3")), 60,
    )  # fmt: skip

    record = json.loads(service.hwctl("audit", "--json"))
    me = (f"local:{os.getuid()}", f"unix socket, uid {os.getuid()}")
    assert {(entry["by"], entry["origin"]) for entry in record} == {me}
    offs = [entry for entry in record if entry["what"] == "power off" and entry["operation"]]
    assert [(e["target"], e["reason"], e["result"]) for e in offs] == [
        (node, "night", "done") for node in ("pi1", "pi2", "pi3")
    ]
    assert {(e["before"], e["after"]) for e in offs} == {
        ("power on, os up", "power off, os halted")
    }
    refused = [entry["target"] for entry in record if entry["result"].startswith("refused")]
    assert refused == ["pi1", "pi2", "@racks", "pi[3-1]"]
    text = service.hwctl("audit", "--limit", "4")
    assert len(text.splitlines()) == 4
    assert "power on @racks" in text
    assert "refused" in text


def test_who_was_turned_away_is_in_the_record_and_a_token_of_power_does_not_see_it(
    service: Any, wait_for: Wait
) -> None:
    service.start(speed=20)
    wait_for("all nodes up", service.all_up)
    use = ("--url", service.url, "--token", "hwctl_0011aa_wrong")
    service.hwctl("power", "off", "pi1", *use, expect=1)
    token = service.hwctl(
        "token", "create", "ops", "--scope", "power", "--state-dir", str(service.state)
    ).strip()
    assert "admin" in service.hwctl("audit", "--url", service.url, "--token", token, expect=1)
    record = json.loads(service.hwctl("audit", "--json"))
    assert [(e["what"], e["by"], e["origin"]) for e in record] == [
        ("POST /api/v1/power", "unknown", "127.0.0.1"),
        ("GET /api/v1/audit", "token:ops", "127.0.0.1"),
    ]
    assert all(e["result"].startswith("turned away") for e in record)
    assert service.world()["outlets"]["feed1"]["on"]


def test_tls_from_the_start_to_the_command_line(service: Any, certificate: Any) -> None:
    authority = certificate("authority")
    pair = certificate("leaf", signed_by=authority)
    service.start("--tls-cert", str(pair.cert), "--tls-key", str(pair.key), speed=20)
    assert service.url.startswith("https://127.0.0.1:")
    token = service.hwctl(
        "token", "create", "ops", "--scope", "read", "--state-dir", str(service.state)
    ).strip()
    use = ("status", "--json", "--url", service.url, "--token", token)
    said = service.hwctl(*use, expect=1)
    assert "is not trusted" in said
    assert "--ca" in said
    assert json.loads(service.hwctl(*use, "--ca", str(authority.cert)))["name"] == "football"
    service.env["HWCTL_CA"] = str(authority.cert)
    assert json.loads(service.hwctl(*use))["name"] == "football"
    assert json.loads(service.hwctl("status", "--json"))["name"] == "football", "by the socket"
    assert service.stop() == 0


def test_a_certificate_beside_the_settings_and_one_that_does_not_serve(
    service: Any, certificate: Any
) -> None:
    pair, other = certificate(), certificate("other")
    service.edit("port = 8470", f'port = 8470\ntls_cert = "{pair.cert.name}"\ntls_key = "rig.key"')
    assert "good" in service.hwctl("check", str(service.config))
    service.start(speed=20)
    assert service.url.startswith("https://")
    assert service.stop() == 0
    run = ("run", "--config", str(service.config), "--emulate", "--port", "0")
    state = ("--state-dir", str(service.state))
    tls = ("--tls-cert", str(pair.cert), "--tls-key")
    said = service.hwctl(*run, *state, *tls, str(other.key), expect=1)
    assert f"{other.key}: the key does not belong to the certificate" in said
    assert "go together" in service.hwctl(*run, *state, *tls[:2], expect=2)
    service.edit('"rig.key"', '"gone.key"')
    line = service.config.read_text().splitlines().index('tls_key = "gone.key"') + 1
    assert f"{service.config}:{line}: " in service.hwctl(*run, *state, expect=1)


def test_an_expired_certificate_is_a_problem_and_the_rig_is_guarded(
    service: Any, certificate: Any
) -> None:
    pair = certificate(days=1, age_days=2)
    service.start("--tls-cert", str(pair.cert), "--tls-key", str(pair.key), speed=20)
    assert service.url.startswith("https://")
    rig = json.loads(service.hwctl("status", "--json"))
    assert any("expired" in problem for problem in rig["problems"])
    service.env["HWCTL_CA"] = str(pair.cert)
    said = service.hwctl("status", "--url", service.url, "--token", "x", expect=1)
    assert "expired" in said, "a caller decides for himself, and hwctl's own says no"


def test_the_socket_is_for_its_group(service: Any) -> None:
    """Who may open it may do all; nobody else reaches it. It speaks no TLS and needs no token."""
    service.start(speed=20)
    path = service.env["HWCTL_SOCKET"]
    facts = Path(path).stat()
    assert facts.st_mode & 0o777 == 0o660
    assert facts.st_gid == os.getgid()
    if os.geteuid() == 0:
        service.folder.chmod(0o755)
        knock = (
            "import os, socket, sys\n"
            f"os.setgroups([]); os.setgid({os.getgid() + 34567}); os.setuid(34567)\n"
            f"socket.socket(socket.AF_UNIX).connect({path!r})\n"
        )
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", knock], capture_output=True, text=True, check=False
        )
        assert "PermissionError" in done.stderr
    with socket.socket(socket.AF_UNIX) as mine:
        mine.connect(path)
