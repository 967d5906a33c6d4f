"""How many files and connections this process may hold open: more than systems give by default (256 on macOS)."""

import resource

MOST = 4096


def allow_open_files() -> None:
    """Raise the soft limit to MOST, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
