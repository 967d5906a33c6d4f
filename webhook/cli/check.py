"""`wecom-welcome check`: what the set-up doctor finds, a line each."""

import logging

import click

from tasks import settings
from tasks.settings import SettingsError
from webhook.cli.common import APP, CommandFailure, one_app
from webhook.cli.terminal import say


@click.command()
@APP
def check(app_name: str | None) -> None:
    """The set-up doctor: what is right, what is wrong, and the cure. Exit code 1 if something would stop a welcome.

    \b
    Example:  wecom-welcome check
    """
    from webhook import doctor

    try:
        config = settings.load()
    except SettingsError as error:
        for problem in error.problems:
            say(f"✗ settings: {problem}")
        raise CommandFailure(f"{len(error.problems)} settings are missing or malformed; see above") from None
    say("✓ settings")
    for line in settings.unknown():
        say(f"! settings: {line}", "    → take it away, or correct its name; deploy/README.md lists the settings")
    for file in settings.exposed():
        say(f"! settings: every user of this host can read or write {file}", f"    → chmod o= {file}")
    logging.getLogger().addHandler(logging.NullHandler())  # the findings say it
    failures = 0
    for app in [one_app(config, app_name)] if app_name else config.apps.values():
        for finding in doctor.examine(config, app):
            failures += finding.stops
            say(*finding.lines)
    if failures:
        raise CommandFailure(f"{failures} of these would stop a welcome; the cures are above")
