"""environment.example says what tasks.settings says, and every reader of it reads the same."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tasks import settings
from tasks.settings import VARIABLES, Variable

EXAMPLE = Path(__file__).parents[2] / "deploy/environment.example"
SETTING = re.compile(r"(?P<off>#?)(?P<name>[A-Z_]+)=(?P<value>.*)")
FILLED_IN = {
    "WECOM_CORP_ID": "ww0123456789abcdef",
    "WECOM_CORP_SECRET": "a-secret",
    "WECOM_TOKEN": "aToken",
    "WECOM_ENCODING_AES_KEY": "k" * 42 + "A",
}
LINES = EXAMPLE.read_text("utf-8").splitlines()
SETTINGS = {match["name"]: match for line in LINES if (match := SETTING.fullmatch(line))}

by_name = pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)


def filled_in(directory: Path) -> Path:
    text = EXAMPLE.read_text("utf-8")
    for name, value in FILLED_IN.items():
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    (directory / ".env").write_text(text, "utf-8")
    return directory


def test_the_example_names_every_setting_once_and_no_other():
    named = [match["name"] for line in LINES if (match := SETTING.fullmatch(line))]
    assert sorted(named) == sorted(variable.name for variable in VARIABLES)


@by_name
def test_a_default_is_shown_and_what_has_none_is_empty_or_off(variable: Variable):
    shown = SETTINGS[variable.name]
    if variable.name in FILLED_IN:
        assert (shown["off"], shown["value"]) == ("", "")
    elif variable.default is not None:
        assert (shown["off"], shown["value"]) == ("", variable.default)
    else:
        assert shown["off"] == "#"
        variable.read(shown["value"])  # raises ValueError if the example is not one


@by_name
def test_each_setting_is_explained_in_the_line_above(variable: Variable):
    above = LINES[LINES.index(SETTINGS[variable.name].group()) - 1]
    assert re.fullmatch(r"# [^-].*\.", above)


@by_name
def test_a_value_is_bare_so_that_compose_systemd_and_dotenv_agree_on_it(variable: Variable):
    assert re.fullmatch(r"[^\s\"'#$\\]*", SETTINGS[variable.name]["value"])


def test_the_four_required_settings_are_all_that_an_operator_must_fill_in(tmp_path):
    assert settings.load({}, filled_in(tmp_path)) == settings.read(FILLED_IN, tmp_path)


def test_an_example_that_nobody_filled_in_is_refused_with_the_four_names():
    with pytest.raises(settings.SettingsError) as refused:
        settings.load(dotenv_values(EXAMPLE), EXAMPLE.parent)
    assert [problem.split()[0] for problem in refused.value.problems] == list(FILLED_IN)


def test_all_of_the_optional_examples_can_be_switched_on_together(tmp_path):
    given = {name: match["value"] for name, match in SETTINGS.items() if name != "WELCOME_CONFIG"} | FILLED_IN
    settings.read(given, tmp_path)
