"""Keeps what lies around out of the source distribution: it holds what git tracks, and nothing else.

hatchling packs a whole tree but for what .gitignore names: a backup with customers' ids, a note, an `apps.toml`. This
build hook names each file instead, and `exclude = ["*"]` in pyproject.toml leaves the others out. In a tree without
git, a release that was unpacked, all files are those that git tracked.
"""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LEFTOVERS = frozenset({"__pycache__", "dist", "build", "PKG-INFO"})  # of building from an unpacked release


class TrackedFiles(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        build_data["force_include"] = {str(root / name): name for name in files(root)}


def files(root: Path) -> list[str]:
    """Paths of the files that belong to the project, below its root, sorted. RuntimeError: git cannot say."""
    if not (root / ".git").exists():
        there = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        return sorted(str(path) for path in there if not LEFTOVERS.intersection(path.parts) and path.suffix != ".pyc")
    try:
        command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z"]  # whoever the checkout belongs to
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"the source distribution holds what git tracks, and git does not say: {error}") from None
    return sorted(name for name in listed.split("\0") if name and (root / name).is_file())
