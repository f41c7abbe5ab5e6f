"""The pages made from the code are those in the tree, and name everything."""

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from hwctl.config import docs, generate, hardware
from hwctl.config.drivers import own_drivers
from hwctl.model import settings as settings_models
from hwctl.model import wiring as wiring_models

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == docs.text(), (
        "run python -m hwctl.config.docs"
    )


def test_the_hardware_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "hardware.md").read_text() == hardware.text(own_drivers()), (
        "run python -m hwctl.config.hardware"
    )


def models() -> list[type[BaseModel]]:
    return [
        one
        for module in (settings_models, wiring_models)
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, BaseModel)
        and one.__module__ == module.__name__
    ]


def test_the_page_has_every_key_of_every_model() -> None:
    page = docs.text()
    whole = {settings_models.Settings, wiring_models.Wiring}
    tables = [one for one in models() if one not in whole]
    assert len(tables) > 15
    for model in tables:
        for row in generate.key_rows(model):
            assert generate.table(docs.HEAD, [row]).splitlines()[-1] in page, (model, row)
    for model in whole:
        for name in model.model_fields:
            assert f"[{name}" in page or f"`{name}`" in page


def test_the_defaults_on_the_page_are_toml() -> None:
    for model in models():
        for key, field in model.model_fields.items():
            row = next(one for one in generate.key_rows(model) if one[0] == f"`{key}`")
            default = field.get_default(call_default_factory=True)
            shown = row[2].strip("`")
            if field.is_required():
                assert shown == "must be given"
            elif default is None:
                assert shown == "none"
            elif not isinstance(default, BaseModel | dict):
                found = tomllib.loads(f"x = {shown}")["x"]
                assert found == _plain(default), key


def _plain(value: object) -> object:
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def test_the_hardware_page_has_every_option() -> None:
    page = hardware.text(own_drivers())
    for driver in own_drivers():
        section = page.split(f"\n## {driver.name}\n")[1].split("\n## ")[0]
        assert driver.proof in page
        assert all(part in page for part in driver.parts)
        for name in driver.options.model_fields:
            assert f"| `{name}` |" in section


def test_values_as_toml_writes_them() -> None:
    assert generate.toml(True) == "true"
    assert generate.toml(64, "address") == "0x40"
    assert generate.toml([[1.5, 2], ["a"]]) == '[[1.5, 2], ["a"]]'
    assert generate.toml({"a": {"b": 1}}) == "{ a = { b = 1 } }"


def test_write_check_and_their_exit_codes(tmp_path: Path, capsys) -> None:
    file = tmp_path / "docs" / "page.md"
    assert generate.main(file, "text\n", ["--check"]) == 1
    assert generate.main(file, "text\n", []) == 0
    assert file.read_text() == "text\n"
    assert generate.main(file, "text\n", ["--check"]) == 0
    assert capsys.readouterr().err.count("\n") == 1
    assert generate.main(file, "other\n", ["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert generate.main(file, "other\n", ["--chekc"]) == 2
    assert file.read_text() == "text\n"


@pytest.mark.parametrize("module", [docs, hardware])
def test_the_commands_check_the_files_of_the_tree(module, capsys) -> None:
    assert module.FILE.parent == ROOT / "docs"
    assert module.run(["--check"]) == 0
    assert capsys.readouterr().err == ""
