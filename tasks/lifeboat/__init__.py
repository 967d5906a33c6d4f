"""The lifeboat: while Redis does not take events, the web process greets, and records in a file what it did.

launch(services)     the lifeboat of a web process, running; None where there is none
recovery(services)   the thread of another role that takes what dead web processes left behind into the ledger
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.lifeboat.recovery import Recovery
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.lifeboat.lifeboat import Lifeboat
    from tasks.services import Services

log = logging.getLogger(__name__)


def folder(settings: Settings) -> Path:
    """Where the journals are."""
    return settings.data_dir / "lifeboat"


def is_writable(settings: Settings) -> bool:
    """Whether the lifeboat's folder can be written, or made. Writes nothing."""
    place = folder(settings)
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    except PermissionError:  # of a folder above it
        return False


def launch(services: "Services") -> "Lifeboat | None":
    """The lifeboat of this web process, running; None if it is switched off, or has no place to write to."""
    if not services.settings.lifeboat:
        return None
    try:
        lifeboat = build(services)
    except OSError as error:
        where = folder(services.settings)
        log.warning("no lifeboat: %s cannot be written (%s); see WELCOME_DATA_DIR", where, error.strerror)
        return None
    lifeboat.start()
    return lifeboat


def build(services: "Services") -> "Lifeboat":
    """It is not started yet. Raises OSError when its folder cannot be written."""
    from tasks.directory.lookup import Packages
    from tasks.lifeboat.last_known import LastKnown
    from tasks.lifeboat.lifeboat import Lifeboat

    settings, place = services.settings, folder(services.settings)
    books, pauses = services.books, services.queue_pauses
    known = LastKnown(services.redis, books, pauses, settings.apps, settings.timezone, place, Packages(services.hooks))
    return Lifeboat(
        place,
        services.redis,
        services.ledger,
        known,
        services.clients,
        settings.window,
        settings.concurrency,
        services.own_limiters,
    )


def make_recovery(services: "Services") -> Recovery:
    """It is not started yet."""
    return Recovery(folder(services.settings), services.redis, services.ledger)
