"""The client's own wheel: one package of its own name, which works and whose types are seen where nothing else is."""

import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.alone import NEEDS, alone
from tests.support.documents import ROOT

HOME, PACKAGE = ROOT / "deploy/client", ROOT / "tasks/wecom"
TYPED = """
import time
from collections.abc import Iterator

from wecom_client import DownloadedFile, Failure, HTTPRefused, Limited, NoAnswer, NotSent, WeComAPIError, WeComClient


class Limiter:
    def begin(self, path: str, by: float, /) -> None: ...
    def ended(self, path: str, error: Exception | None, /) -> None: ...


def observe(path: str, code: int | str) -> None: ...


def fetch_token(by: float) -> dict[str, str | int]:
    return {"access_token": "token", "expires_in": 7200}


def names(userids: list[str]) -> Iterator[str]:
    with WeComClient("ww0", "secret", redis=None, observe=observe, limiter=Limiter(), timeout=3) as client:
        provided = WeComClient("ww0", "code", fetch_token=fetch_token)
        yield from provided.external_contact.get_follow_user_list()["follow_user"]
        for row in client.external_contact.iter_batch_get_by_user(userids):
            yield str(row["external_contact"]["name"])
        file: DownloadedFile = client.media.get("MEDIA")
        yield file.filename


def cause(client: WeComClient) -> tuple[int | None, Failure | None]:
    try:
        client.with_deadline(time.monotonic() + 3).external_contact.send_welcome_msg({"welcome_code": "c"})
    except Limited as error:
        return error.errcode, None
    except WeComAPIError as error:
        return error.errcode, None
    except (NotSent, HTTPRefused, NoAnswer) as error:
        return error.status, error.failure
    return None, None
"""
WRONG = """
from wecom_client import WeComClient

client = WeComClient("ww0", 7)
WeComClient("ww0", "code", fetch_token="token")
client.user.get(7)
client.external_contact.no_such_call()
client.with_deadline("soon")
reveal_type(client.external_contact.get_follow_user_list())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a person would by hand."""
    to = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to)]
    subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True, timeout=60)
    (built,) = to.iterdir()
    return built


@pytest.fixture(scope="module")
def packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a new environment that has the wheel alone."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=60)
    (packages,) = home.glob("lib/python*/site-packages")
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([sys.executable, "-m", "pip", *install, "--target", packages, wheel], check=True, timeout=60)
    return packages


def test_the_wheel_holds_the_package_under_a_name_of_its_own(wheel: Path) -> None:
    tracked = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        licence = next(name for name in archive.namelist() if name.endswith("/licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert held == {f"wecom_client/{name}" for name in tracked}
    assert "wecom_client/py.typed" in held


def test_the_wheel_needs_urllib3_and_has_the_products_version_and_limits(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        said = Parser().parsestr(archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode())
    product = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    assert (said["Name"], said["Version"]) == ("wecom-client", product["version"])
    assert said["Requires-Python"] == product["requires-python"]
    assert said.get_all("Requires-Dist") == ["urllib3<3,>=2.5", "redis>=5; extra == 'redis'"]
    assert set(own["dependencies"]) <= set(product["dependencies"])


def test_what_is_installed_works_beside_urllib3_and_redis_alone(
    packages: Path, wecom: StandIn, redis_url: str, tmp_path: Path
) -> None:
    app = wecom.register(App.random())
    wecom.people(members={"zhangsan": {"name": "张三"}})
    (tmp_path / "wecom_client").symlink_to(packages / "wecom_client")
    members, refused, is_shared, loaded = alone(tmp_path, "wecom_client", NEEDS, redis_url, wecom, app)
    assert (members, refused, is_shared) == (["zhangsan"], "Final", True)
    assert set(loaded) == {"wecom_client", *NEEDS}


def test_mypy_sees_its_types_in_a_users_script(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "wrong.py").write_text(WRONG)
    python = packages.parents[2] / "bin/python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", os.devnull]
    done = subprocess.run([*command, "typed.py", "wrong.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("typed.py")]
    wrong = [line.rpartition("[")[2].rstrip("]") for line in lines if ": error: " in line]
    assert wrong == ["arg-type", "arg-type", "arg-type", "attr-defined", "arg-type"]
    assert any("Revealed type is" in line and "str, " in line for line in lines)
