"""Does the command line know a command? Asked of the real one, in an environment without any setting."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def refuses_only_its_settings(command: Sequence[str], empty: Path) -> bool:
    """True if `wecom-welcome *command` is understood: then all it can say is that nothing is set. `empty`: a folder."""
    run = subprocess.run(
        [Path(sys.executable).with_name("wecom-welcome"), *command],
        cwd=empty, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    return run.returncode != 0 and "WECOM_CORP_ID" in run.stderr
