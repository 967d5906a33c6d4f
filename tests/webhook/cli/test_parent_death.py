"""A child that gets a signal when its parent dies, and that asks for it itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.until import until
from webhook.cli import parent_death
from webhook.cli.parent_death import dying_with_this_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells children of their parent's death")

PARENT = """
import subprocess, sys, threading, time
from webhook.cli.parent_death import dying_with_this_process
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
child = subprocess.Popen(dying_with_this_process(sys.argv[2:], int(sys.argv[1])), start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_dies_with_a_parent_that_is_killed(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(int(number)), "/bin/sleep", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep")
        parent.kill()
    until(lambda: gone(child))


def test_it_is_the_command_itself_with_its_arguments_environment_and_exit_code() -> None:
    script = "import os, sys; print(os.getpid(), sys.argv[1:], os.environ); sys.exit(7)"
    command = dying_with_this_process([sys.executable, "-c", script, "a b", "--c"])
    with subprocess.Popen(command, env={"LC_ALL": "C", "SEEN": "yes"}, stdout=subprocess.PIPE, text=True) as child:
        said = child.communicate(timeout=60)[0]
    assert said.startswith(f"{child.pid} ['a b', '--c'] ")
    assert "'SEEN': 'yes'" in said
    assert child.returncode == 7


def test_a_child_whose_parent_has_died_meanwhile_starts_nothing(tmp_path: Path) -> None:
    command = ["/bin/touch", str(tmp_path / "started")]
    of_another = [sys.executable, parent_death.__file__, str(os.getppid()), str(int(signal.SIGTERM)), *command]
    assert subprocess.run(of_another, timeout=60).returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    command = dying_with_this_process([str(tmp_path / "nothing")])
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, f"{tmp_path}/nothing: No such file or directory\n")


def test_a_file_that_is_passed_on_stays_open(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as held:
        script = f"import os; os.write({held.fileno()}, b'open')"
        subprocess.run(
            dying_with_this_process([sys.executable, "-c", script]), pass_fds=[held.fileno()], check=True, timeout=60
        )
    assert (tmp_path / "lock").read_text() == "open"
