"""Settings name the variable that is wrong, and the documentation lists every one."""

from pathlib import Path

import msgspec
import pytest

from settings import SettingRefused, Settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REGULARS_ENV", "staging"),
        ("DATABASE_POOL_MAX", "many"),
        ("DATABASE_POOL_MAX", "0"),
        ("DATABASE_URL", "mysql://somewhere"),
        ("REDIS_URL", "localhost:6379"),
        ("SMTP_URL", "mail.example"),
        ("SESSION_HOURS", "-1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        Settings.read({variable: value})
    assert refused.value.facts["variable"] == variable
    assert str(refused.value).startswith(variable)


def test_production_needs_a_secret() -> None:
    with pytest.raises(SettingRefused, match="SECRET_KEY"):
        Settings.read({"REGULARS_ENV": "production"})
    assert Settings.read({"REGULARS_ENV": "production", "SECRET_KEY": "x" * 32}).secret == "x" * 32


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert Settings.read({"DATABASE_POOL_MAX": ""}).database_pool_max == 16


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    documented = {
        line.split("`")[1] for line in Path("docs/settings.md").read_text().splitlines() if line.startswith("| `")
    }
    assert documented == {field.encode_name for field in msgspec.structs.fields(Settings)}
