"""Names that look like settings and are none, with the nearest that is one. Pure.

A name that is plainly a misspelt one is an error, since what it should set has its default. Any other is a remark:
it may be a later release's, somebody else's, or Kubernetes', which names variables after services.
"""

import re
from collections.abc import Collection, Mapping

from tasks.spelling import nearest

_OURS = ("WECOM_", "WELCOME_", "CONSOLE_", "METRICS_", "ALERT_")
_PLAINLY = 0.85  # how near a name is to a known one that is meant: WELCOME_BOK, WECOM_CORPID, WELCOME_PROXY
_PERHAPS = 0.7  # WECOM_AES_KEY, WELCOME_TZ
_OF_SERVICE = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_[0-9]+_(TCP|UDP)")  # Kubernetes, Docker links


def misspelt(given: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A line for each variable whose name is plainly a known one's, misspelt. Values are not looked at."""
    return [
        f"{name} is not a setting; did you mean {meant}?"
        for name in _unknown(given, known)
        if (meant := nearest(name.upper(), known, _PLAINLY)) is not None
    ]


def unknown(given: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A line for each further variable with a prefix of ours."""
    lines = []
    for name in _unknown(given, known):
        if nearest(name.upper(), known, _PLAINLY) is None and not given[name].startswith("tcp://"):
            meant = nearest(name.upper(), known, _PERHAPS)
            lines.append(f"{name} is not a setting" + (f"; did you mean {meant}?" if meant else ""))
    return lines


def _unknown(given: Mapping[str, str], known: Collection[str]) -> list[str]:
    return [
        name for name in given if name.upper().startswith(_OURS) and name not in known and not _OF_SERVICE.search(name)
    ]
