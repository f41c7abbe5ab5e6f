"""All commands. Heavy parts are imported by the command that needs them."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hwctl import __version__
from hwctl.model.errors import HwctlError

app = typer.Typer(
    name="hwctl",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="What a BMC is to a server, for a cluster you can carry.",
)
shutdown_app = typer.Typer(no_args_is_help=True, help="Bring the rig down in order.")
token_app = typer.Typer(no_args_is_help=True, help="Who may do what over the network.")
wiring_app = typer.Typer(no_args_is_help=True, help="The wiring file.")
world_app = typer.Typer(no_args_is_help=True, help="The emulated world (hwctl run --emulate).")
app.add_typer(shutdown_app, name="shutdown")
app.add_typer(token_app, name="token")
app.add_typer(wiring_app, name="wiring")
app.add_typer(world_app, name="world")

Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Url = Annotated[str, typer.Option("--url", envvar="HWCTL_URL", help="Instead of the unix socket.")]
Token = Annotated[str, typer.Option("--token", envvar="HWCTL_TOKEN", help="For --url.")]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", envvar="HWCTL_CA", help="Who vouches for --url https://..., as PEM."),
]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", envvar="HWCTL_STATE_DIR", help="Journal and tokens.")
]
POLL_S = 0.4


def run() -> int:
    """Parse and carry out. :returns: the exit code."""
    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except HwctlError as error:
        sys.stderr.write(f"{error}; {error.hint}\n" if error.hint else f"{error}\n")
        return 1
    return 0


def _client(url: str, token: str, ca: Path | None) -> Any:  # noqa: ANN401 - imported late
    from hwctl.faces.cli.client import Client  # noqa: PLC0415

    return Client(url, token, ca)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"hwctl {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


@app.command("run")
def run_service(
    config: Annotated[Path, typer.Option("--config", help="A rig's *.hwctl.toml.")],
    emulate: Annotated[bool, typer.Option("--emulate", help="On emulated hardware.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=600, help="Times faster than life.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the emulated world.")] = 1,
    host: Annotated[str | None, typer.Option(help="Instead of the settings file's.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM; the port then speaks TLS. With --tls-key.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM, without a passphrase.")] = None,
    state_dir: StateDir = None,
    scenario: Annotated[str, typer.Option(help="Emulated: afternoon or steady.")] = "afternoon",
) -> None:
    """Run the service until it is told to stop."""
    from hwctl.faces.cli.serve import serve  # noqa: PLC0415

    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
    raise typer.Exit(
        serve(
            config, emulate=emulate, speed=speed, seed=seed, host=host, port=port,
            state=state_dir, scenario=scenario,
            tls_files=(tls_cert, tls_key) if tls_cert and tls_key else None,
        )
    )  # fmt: skip


def _check(file: Path, as_json: bool) -> None:
    from hwctl.config.load import check  # noqa: PLC0415

    problems = check(file)
    errors = [one for one in problems if one.severity == "error"]
    if as_json:
        _print_json(
            [
                {
                    "file": str(one.file), "line": one.line, "what": one.what, "hint": one.hint,
                    "severity": one.severity,
                }
                for one in problems
            ]
        )  # fmt: skip
    else:
        for one in problems:
            sys.stderr.write(f"{one}\n" if one.severity == "error" else f"{one} (warning)\n")
        if not errors:
            warnings = f", {len(problems)} warnings" if problems else ""
            sys.stdout.write(f"{file}: good{warnings}\n")
    raise typer.Exit(1 if errors else 0)


@app.command("check")
def check_file(file: Path, as_json: Json = False) -> None:
    """Check a rig's files: FILE:LINE: what is wrong; what to do."""
    _check(file, as_json)


@wiring_app.command("check")
def check_wiring(file: Path, as_json: Json = False) -> None:
    """Check a wiring file alone."""
    _check(file, as_json)


@app.command("status")
def status(
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Until Ctrl-C.")] = False,
    url: Url = "",
    token: Token = "",
    ca: Ca = None,
) -> None:
    """The rig as it is."""
    from hwctl.faces.cli import show  # noqa: PLC0415

    client = _client(url, token, ca)
    rig = client.get("/api/v1/rig")
    if as_json:
        _print_json(rig)
        return
    console = show.console()
    if not watch:
        console.print(show.status(rig))
        return
    from rich.live import Live  # noqa: PLC0415

    with Live(show.status(rig), console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(1.0)
                live.update(show.status(client.get("/api/v1/rig")), refresh=True)
        except KeyboardInterrupt:
            return


@app.command("power")
def power(
    action: Annotated[str, typer.Argument(metavar="on|off|cycle|reset|status")],
    nodes: Annotated[
        list[str], typer.Argument(metavar="NODE...", help="Also pi[1-3], @GROUP or all.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Do not ask the node to halt: data may be lost.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Kept in the journal.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait")] = True,
    as_json: Json = False,
    url: Url = "",
    token: Token = "",
    ca: Ca = None,
) -> None:
    """Switch nodes: halt, prove, cut, dead, on, came back; each step is shown."""
    if action not in ("on", "off", "cycle", "reset", "status"):
        raise typer.BadParameter(f"`{action}` is none of on, off, cycle, reset, status")
    client = _client(url, token, ca)
    if action == "status":
        _power_status(client, nodes, as_json)
        return
    body = {"nodes": nodes, "action": action, "force": force, "reason": reason}
    begun = client.send("POST", "/api/v1/power", body)
    ended = [_wait_for(client, op, quiet=as_json) for op in begun] if wait else begun
    if as_json:
        _print_json(ended)
    elif not wait:
        for op in begun:
            sys.stdout.write(f"{op['target']}  {op['kind']}  {op['id']}\n")
    if wait and any(op["state"] != "done" for op in ended):
        raise typer.Exit(1)


def _power_status(client: Any, nodes: list[str], as_json: bool) -> None:  # noqa: ANN401
    from hwctl.faces.cli import show  # noqa: PLC0415

    states = client.get("/api/v1/nodes", only=",".join(nodes))
    if as_json:
        _print_json(states)
        return
    unread = show.assumed(client.get("/api/v1/outlets"))
    for state in states:
        assumed = " (assumed)" if state["id"] in unread else ""
        sys.stdout.write(f"{state['id']}  {state['power']}{assumed}  {state['os']}\n")


def _wait_for(client: Any, op: dict[str, Any], *, quiet: bool) -> dict[str, Any]:  # noqa: ANN401
    from hwctl.faces.cli import show  # noqa: PLC0415

    console = show.console()
    told = 0
    while True:
        if not quiet:
            for record in op["steps"][told:]:
                if record["finished"] is not None:
                    note = f"  {record['note']}" if record["note"] else ""
                    console.print(f"{op['target']}  {record['name']}{note}", style="dim")
                    told += 1
        if op["state"] in ("done", "failed", "cancelled"):
            if not quiet:
                console.print(show.operation(op))
            return op
        time.sleep(POLL_S)
        op = client.get(f"/api/v1/operations/{op['id']}")


@app.command("locate")
def locate(
    node: str,
    off: Annotated[bool, typer.Option("--off", help="Put the light out again.")] = False,
    url: Url = "",
    token: Token = "",
    ca: Ca = None,
) -> None:
    """Blink a node's lights, so that it can be found."""
    _client(url, token, ca).send("PUT", f"/api/v1/nodes/{node}/locate", {"active": not off})


@shutdown_app.command("status")
def shutdown_status(as_json: Json = False, url: Url = "", token: Token = "", ca: Ca = None) -> None:
    """What is needed, what is left, and where it stands."""
    from hwctl.faces.cli import show  # noqa: PLC0415

    state = _client(url, token, ca).get("/api/v1/shutdown")
    if as_json:
        _print_json(state)
    else:
        show.console().print(show.shutdown(state))


@shutdown_app.command("start")
def shutdown_start(
    reason: Annotated[str, typer.Option(help="Kept in the journal.")] = "",
    url: Url = "",
    token: Token = "",
    ca: Ca = None,
) -> None:
    """Bring every stage down now."""
    _client(url, token, ca).send("POST", "/api/v1/shutdown", {"reason": reason})


@shutdown_app.command("cancel")
def shutdown_cancel(url: Url = "", token: Token = "", ca: Ca = None) -> None:
    """Begin no further stage; what was stopped comes back when the charge allows."""
    _client(url, token, ca).send("DELETE", "/api/v1/shutdown")


@app.command("events")
def events(
    follow: Annotated[bool, typer.Option("--follow", help="Until Ctrl-C.")] = False,
    as_json: Json = False,
    url: Url = "",
    token: Token = "",
    ca: Ca = None,
) -> None:
    """What happened, oldest first."""
    from hwctl.faces.cli import show  # noqa: PLC0415

    client = _client(url, token, ca)
    console = show.console()
    known = client.get("/api/v1/events")
    if as_json and not follow:
        _print_json(known)
        return
    last = known[-1]["id"] if known else 0
    for one in known:
        _tell_event(console, one, as_json)
    if follow:
        try:
            for one in client.stream(f"/api/v1/events?after={last}"):
                _tell_event(console, one, as_json)
        except KeyboardInterrupt:
            return


def _tell_event(console: Any, one: dict[str, Any], as_json: bool) -> None:  # noqa: ANN401
    from hwctl.faces.cli import show  # noqa: PLC0415

    if as_json:
        sys.stdout.write(json.dumps(one, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        console.print(show.event(one))


@app.command("audit")
def audit(
    as_json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 50,
    url: Url = "",
    token: Token = "",
    ca: Ca = None,
) -> None:
    """Every command: who, from where, what, why, how it was before and after."""
    from hwctl.faces.cli import show  # noqa: PLC0415

    entries = _client(url, token, ca).get("/api/v1/audit", limit=str(limit))
    if as_json:
        _print_json(entries)
        return
    console = show.console()
    for entry in entries:
        console.print(show.audit(entry))


def _tokens(state_dir: Path | None) -> Any:  # noqa: ANN401 - imported late
    from hwctl.engine.places import state_dir as default  # noqa: PLC0415
    from hwctl.engine.tokens import TokenStore  # noqa: PLC0415

    return TokenStore((state_dir or default()) / "tokens.json")


@token_app.command("create")
def token_create(
    name: str,
    scope: Annotated[list[str], typer.Option(help="read, power, config or admin; repeatable.")],
    node: Annotated[list[str] | None, typer.Option(help="Only these nodes; repeatable.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Make a token and print it, once."""
    sys.stdout.write(_tokens(state_dir).create(name, tuple(scope), tuple(node or ())) + "\n")


@token_app.command("list")
def token_list(as_json: Json = False, state_dir: StateDir = None) -> None:
    """Names and rights; the secrets are not kept."""
    grants = _tokens(state_dir).list()
    rows = [
        {"name": one.name, "scopes": sorted(one.scopes), "nodes": sorted(one.nodes)}
        for one in grants
    ]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        only = f"  only {', '.join(row['nodes'])}" if row["nodes"] else ""
        sys.stdout.write(f"{row['name']}  {', '.join(row['scopes'])}{only}\n")


@token_app.command("revoke")
def token_revoke(name: str, state_dir: StateDir = None) -> None:
    """End a token; a running service notices at its next use."""
    _tokens(state_dir).revoke(name)


@world_app.command("mains")
def world_mains(
    state: Annotated[str, typer.Argument(metavar="on|off")], state_dir: StateDir = None
) -> None:
    """Plug the emulated charger in, or pull it."""
    if state not in ("on", "off"):
        raise typer.BadParameter(f"`{state}` is neither on nor off")
    _world(state_dir, {"op": "mains", "on": state == "on"})


@world_app.command("fault")
def world_fault(
    part: Annotated[str, typer.Argument(help="A node, or a device on I2C.")],
    kind: Annotated[str, typer.Argument(help="What it suffers; a wrong word names them all.")],
    off: Annotated[bool, typer.Option("--off", help="End the fault.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Let a part fail: a node that hangs, an exporter that dies, a gauge that is silent."""
    from hwctl.faces.cli.serve import find_world  # noqa: PLC0415

    world = find_world(state_dir)
    if part in world.control({"op": "status"})["nodes"]:
        order = {"op": "node", "node": part, "fault": kind, "on": not off}
    else:
        order = {"op": "gauge", "device": part, "fault": None if off else kind}
    _print_json(world.control(order))


@world_app.command("status")
def world_status(state_dir: StateDir = None) -> None:
    """What is really so in the emulated world, as JSON."""
    _world(state_dir, {"op": "status"})


def _world(state_dir: Path | None, command: dict[str, Any]) -> None:
    from hwctl.faces.cli.serve import find_world  # noqa: PLC0415

    _print_json(find_world(state_dir).control(command))


@app.command("doctor")
def doctor(
    config: Annotated[Path | None, typer.Argument(help="A rig's *.hwctl.toml.")] = None,
    as_json: Json = False,
) -> None:
    """What this machine has, lacks, and how to get it; changes nothing."""
    from hwctl.faces.cli.doctor import doctor as look  # noqa: PLC0415

    raise typer.Exit(look(config, as_json=as_json))


@app.command("udev")
def udev(
    port: Annotated[str | None, typer.Option(help="A USB port, as in 1-1.2.")] = None,
    name: Annotated[str | None, typer.Option(help="What is there: /dev/hwctl/NAME.")] = None,
    kind: Annotated[str, typer.Option(help="tty, hidraw or i2c-dev.")] = "tty",
) -> None:
    """Print the udev rules, or one that names whatever stands at a USB port."""
    from hwctl.faces.cli.doctor import rules  # noqa: PLC0415

    match kind:
        case "tty" | "hidraw" | "i2c-dev":
            raise typer.Exit(rules(port, name, kind))
        case _:
            raise typer.BadParameter(f"`{kind}` is none of tty, hidraw, i2c-dev")


Prefix = Annotated[Path, typer.Option(help="Where the head's root is.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


@app.command("install")
def install(
    config: Annotated[Path | None, typer.Option("--config", help="A rig's *.hwctl.toml.")] = None,
    command: Annotated[Path | None, typer.Option(help="hwctl, as the service starts it.")] = None,
    prefix: Prefix = Path("/"),
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Put unit, rules, user and a starting rig in place; shows all of it and asks first."""
    from hwctl.faces.cli.install import install as put  # noqa: PLC0415

    raise typer.Exit(put(config, command=command, prefix=prefix, yes=yes, dry_run=dry_run))


@app.command("uninstall")
def uninstall(prefix: Prefix = Path("/"), yes: Yes = False, dry_run: DryRun = False) -> None:
    """Take off what `hwctl install` put there, and nothing else."""
    from hwctl.faces.cli.install import uninstall as take_off  # noqa: PLC0415

    raise typer.Exit(take_off(prefix=prefix, yes=yes, dry_run=dry_run))
