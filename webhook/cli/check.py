"""`wecom-welcome check`: what the set-up doctor finds, a line each."""

import logging

import click

from tasks import settings
from tasks.messages import Message
from tasks.settings import SettingsError
from webhook import records
from webhook.cli.common import APP, AS_JSON, CommandFailure, one_app
from webhook.cli.terminal import counted, marked, say, say_json

SETTINGS = Message("settings")


@click.command()
@AS_JSON
@APP
def check(as_json: bool, app_name: str | None) -> None:
    """The set-up doctor: what is right, what is wrong, and the cure. Exit code 1 if something would stop a welcome.

    ✓ is right, ✗ would stop a welcome, ! is a remark, or not known from here.

    \b
    Example:  wecom-welcome check
    """
    from webhook import doctor

    def tell(finding: doctor.Finding, app: str | None = None) -> None:
        if as_json:
            say_json(records.finding(finding, app))
        else:
            first, *cure = finding.lines
            say(marked(first), *cure)

    try:
        config = settings.load()
    except SettingsError as error:
        for problem in error.problems:
            tell(doctor.Finding(SETTINGS, False, problem))
        number = len(error.problems)
        verb = "is" if number == 1 else "are"
        raise CommandFailure(f"{counted(number, 'setting')} {verb} missing or malformed; see above") from None
    tell(doctor.Finding(SETTINGS, True))
    for line in settings.unknown():
        cure = Message("take it away, or correct its name; deploy/README.md lists the settings")
        tell(doctor.Finding(SETTINGS, None, line, cure))
    for file in settings.exposed():
        said = f"every user of this host can read or write {file}"
        tell(doctor.Finding(SETTINGS, None, said, Message(f"chmod o= {file}")))
    logging.getLogger().addHandler(logging.NullHandler())  # the findings say it
    failures = 0
    for app in [one_app(config, app_name)] if app_name else config.apps.values():
        if len(config.apps) > 1 and not as_json:
            say("", f"app {app.name}:")
        for finding in doctor.examine(config, app):
            failures += finding.stops
            tell(finding, app.name)
    if failures:
        raise CommandFailure(f"{failures} of these would stop a welcome; the cures are above")
