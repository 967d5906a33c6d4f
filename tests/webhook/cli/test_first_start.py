"""`up` with credentials that WeCom has never known ends; where customers were greeted before, it stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.settings import read
from tasks.storage.connections import Redis
from tests.simulator.client import StandIn
from tests.support.ledger import a_ledger, settled
from tests.support.processes import COMMAND, free_port
from tests.support.servers import nobody
from webhook.cli.first_start import refusals


def asked(environ: dict[str, str]) -> list[str]:
    return refusals(read(environ, Path.cwd()))


def test_credentials_that_wecom_does_not_know_are_named_with_the_cure(
    environ: dict[str, str], wecom: StandIn, redis_client: Redis
) -> None:
    (line,) = asked(environ | {"WECOM_CORP_SECRET": "an-old-secret"})
    assert (
        line == "WeCom refuses app default (40001): the secret is wrong; compare WECOM_CORP_SECRET with the app's page"
    )
    (line,) = asked(environ | {"WECOM_CORP_ID": "ww00000000000000"})
    assert line.startswith("WeCom refuses app default (40013): the corp id is wrong; ")
    assert wecom.status()["greeted"] == 0


def test_what_may_be_right_keeps_nobody_from_starting(environ: dict[str, str], redis_client: Redis) -> None:
    assert asked(environ) == []
    with nobody() as url:
        assert asked(environ | {"WECOM_API_BASE": url}) == []
    assert asked(environ | {"REDIS_URL": "redis://127.0.0.1:1/0"}) == []


def test_one_app_of_two_that_is_refused_does_not_keep_the_other_from_greeting(
    environ: dict[str, str], redis_client: Redis, tmp_path: Path
) -> None:
    rows = {
        "corp_id": environ["WECOM_CORP_ID"],
        "token": environ["WECOM_TOKEN"],
        "encoding_aes_key": environ["WECOM_ENCODING_AES_KEY"],
    }
    text = ""
    for name, secret in (("a", "an-old-secret"), ("b", environ["WECOM_CORP_SECRET"])):
        text += f"[apps.{name}]\n" + "".join(
            f'{key} = "{value}"\n' for key, value in (rows | {"secret": secret}).items()
        )
    (tmp_path / "apps.toml").write_text(text, "utf-8")
    shared = {name: environ[name] for name in ("WECOM_API_BASE", "REDIS_URL")}
    assert asked(shared | {"WELCOME_CONFIG": str(tmp_path / "apps.toml")}) == []


def test_where_customers_were_greeted_a_refusal_is_no_reason_to_end(
    environ: dict[str, str], redis_client: Redis
) -> None:
    settled(a_ledger(redis_client), Settlement(Outcome.SENT))
    assert asked(environ | {"WECOM_CORP_SECRET": "an-old-secret"}) == []


@pytest.mark.parametrize("embedded", [True, False], ids=["the embedded server", "REDIS_URL"])
def test_up_ends_at_once_with_one_line(
    environ: dict[str, str], redis_client: Redis, tmp_path: Path, embedded: bool
) -> None:
    environ |= {"WECOM_CORP_SECRET": "an-old-secret", "PYTHONPATH": str(Path(__file__).parents[3])}
    if embedded:
        del environ["REDIS_URL"]
    done = subprocess.run(
        [sys.executable, COMMAND, "up", "--port", str(free_port())],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "wecom-welcome: WeCom refuses app default (40001): the secret is wrong;"
        " compare WECOM_CORP_SECRET with the app's page\n"
    )
