"""The lock file on arm64: each package has a wheel, for each Python from 3.11 on. Downloaded, not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of them: most wheels serve every Python."""
    return tmp_path_factory.mktemp("wheels")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_each_package_of_the_lock_file_has_a_wheel_for_arm64(python: str, wheels: Path) -> None:
    platforms = [f"--platform={name}_aarch64" for name in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    run = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
         "--implementation=cp", f"--python-version={python}", *platforms, "-d", wheels,
         "-r", ROOT / "requirements.lock"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
