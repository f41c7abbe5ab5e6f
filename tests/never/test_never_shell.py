"""10. A shell sees text from outside."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREES = ("hwctl", "drivers/hwctl_drivers", "drivers/hwctl_emulated")
SOURCES = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))
FORBIDDEN = {
    "os.system", "os.popen", "os.spawnl", "os.spawnlp", "os.spawnv", "os.spawnvp", "pty.spawn",
    "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput",
    "asyncio.create_subprocess_shell", "eval", "exec", "pickle.loads", "pickle.load",
    "marshal.loads", "shelve.open",
}  # fmt: skip


def name_of(call: ast.expr, imported: dict[str, str]) -> str:
    """The dotted name of what is called, through ``import x as y`` and ``from x import y``."""
    parts: list[str] = []
    while isinstance(call, ast.Attribute):
        parts.insert(0, call.attr)
        call = call.value
    if not isinstance(call, ast.Name):
        return ""
    return ".".join([imported.get(call.id, call.id), *parts])


def found(source: str) -> list[str]:
    tree = ast.parse(source)
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            imported.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func, imported)
        if name in FORBIDDEN:
            wrong.append(f"{node.lineno}: {name}")
        wrong += [
            f"{node.lineno}: shell="
            for keyword in node.keywords
            if keyword.arg == "shell" and getattr(keyword.value, "value", None) is not False
        ]
    return wrong


def test_the_tree_is_there():
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_calls_a_shell(path):
    assert found(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.system('x')",
        "from os import system as s\ns('x')",
        "import subprocess as sp\nsp.run('x', shell=True)",
        "import subprocess\nsubprocess.Popen('x', shell=yes)",
        "import asyncio\nasyncio.create_subprocess_shell('x')",
        "eval('1')",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert found(source)


OUTSIDE = "x; touch /tmp/owned #$(reboot)`id`"
COMMANDS = {"sudo systemctl poweroff", "sudo systemctl reboot"}


def test_a_node_hears_only_what_the_settings_say(rehearsal):
    """Whatever is sent along with a command: reason, who, key, a node's own words."""
    stage = rehearsal()
    said: list[str] = []
    command = stage.world.command

    class Listening:
        """The world, which notes what it is told by ssh."""

        def __getattr__(self, name):
            return getattr(stage.world, name)

        def command(self, node, line):
            said.append(line)
            return command(node, line)

    stage.rehearsal.world = Listening()
    stage.restart()
    stage.run(5)
    for node, action in (("pi1", "cycle"), ("pi2", "off"), ("pi3", "reset")):
        stage.engine.power(node, action, by=OUTSIDE, reason=OUTSIDE, key=OUTSIDE + node)
    stage.run(60)
    stage.engine.shutdown_start(reason=OUTSIDE, by=OUTSIDE)
    stage.run(60)
    assert said
    assert set(said) == COMMANDS
