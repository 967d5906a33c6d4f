"""What a shell completes: the script is sourced by a real bash, which is then asked as the Tab key asks."""

import os
import shlex
import subprocess
from collections.abc import Callable

import pytest

from tests.support.cli import run
from tests.support.processes import COMMAND, ROOT

ASK = """
source /dev/stdin
set -- {words}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_wecom_welcome_completion wecom-welcome
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(bash: str, *words: str) -> list[str]:
    """What bash offers after these words, the last of which is half typed."""
    environ = {"PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = ASK.format(words=" ".join(map(shlex.quote, ("wecom-welcome", *words))))
    source = run("completion", "bash").stdout
    done = subprocess.run(
        [bash, "-c", script], input=source, env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert not done.stderr
    return done.stdout.split()


def test_bash_completes_commands(require_tool: Callable[[str], str]) -> None:
    assert completed(require_tool("bash"), "rest") == ["restore"]


def test_bash_completes_what_belongs_to_a_command_of_a_group(require_tool: Callable[[str], str]) -> None:
    assert completed(require_tool("bash"), "templates", "explain", "--mem") == ["--member"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_a_script_too(shell: str) -> None:
    told = run("completion", shell)
    assert (told.exit_code, told.stderr) == (0, "")
    assert f"_WECOM_WELCOME_COMPLETE={shell}_complete " in told.stdout


def test_a_shell_that_is_not_known_is_named_with_those_that_are() -> None:
    told = run("completion", "tcsh")
    assert told.exit_code == 2
    assert "`completion` takes bash, zsh, fish, and not 'tcsh'." in told.stderr
    assert len(told.stderr.splitlines()) == 1
