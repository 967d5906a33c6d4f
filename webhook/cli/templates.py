"""`wecom-welcome templates …`: the welcome book on the command line."""

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from tasks import group_welcomes
from tasks.audit import Act
from tasks.books import files, revisions
from tasks.books.media_store import MediaFull
from tasks.group_welcomes import ADDED, DELETED, EDITED, FAILED, SAME, WAITS
from tasks.messages import translate
from tasks.placeholders.installed import unprovided
from tasks.services import AppServices
from tasks.templates import book as book_file
from tasks.templates import changes
from tasks.templates.explain import described
from tasks.templates.model import Book
from tasks.wecom import WeComError
from webhook import records
from webhook.cli.common import APP, AS_JSON, CommandFailure, Group, connect, current_revision, read_book, record
from webhook.cli.explain import explain
from webhook.cli.terminal import Colour, Painted, Progress, counted, padded, say, say_document, say_json
from webhook.errcode_texts import explained
from webhook.reason_texts import describe

PATIENCE = 5.0  # seconds for what is looked up at WeCom

MARKS = {ADDED: "+", EDITED: "~", DELETED: "-", SAME: "=", WAITS: "…", FAILED: "!"}

AUTHOR = click.option("--author", metavar="NAME", envvar="USER", default="", help="Who changes it. Default: $USER.")
NOTE = click.option("--note", metavar="TEXT", default="", help="Why, for the history.")
FORCE = click.option("--force", is_flag=True, help="Even if the book has been changed meanwhile.")


@click.group(cls=Group)
def templates() -> None:
    """The welcome book: what customers are sent, and who gets what.

    \b
    Example:  wecom-welcome templates import book.yaml --note autumn
    """


@templates.command()
@click.argument("file", type=click.Path(path_type=Path))
@APP
def validate(file: Path, app_name: str | None) -> None:
    """Check a welcome book (.yaml or .zip) against WeCom's limits. Changes nothing.

    \b
    Example:  wecom-welcome templates validate book.yaml
    """
    book, _ = read_book(file)  # the same for every app
    say(f"{file}: {counted(len(book.templates), 'template')}, {counted(len(book.rules), 'rule')}, nothing wrong")
    _remark(book, None)


@templates.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@AUTHOR
@NOTE
@FORCE
@APP
def import_(file: Path, author: str, note: str, force: bool, app_name: str | None) -> None:
    """Make a book the current one. Workers use it from the next customer on.

    FILE is a .yaml with its files beside it, or a .zip as `export` writes it. One that was exported from a revision
    that is no longer the current one is refused, so that nobody's change is lost; --force imports it all the same.

    \b
    Example:  wecom-welcome templates import book.yaml --author wang --note autumn
    """
    book, bundle = read_book(file)
    app = connect(app_name)
    digest = revisions.stamp(bundle.source)
    base = app.shared.books.find(app.name, digest) if digest and not force else None
    before = app.shared.books.current(app.name)
    try:
        with Progress("files stored") as progress:
            number = app.shared.books.save(app.name, bundle.source, bundle.files, author, note, base, progress)
    except revisions.RevisionConflict as conflict:
        latest = app.shared.books.revision(app.name, conflict.current)
        raise CommandFailure(
            f"{file} was exported from revision {conflict.base}, and {latest.author or 'somebody'} has saved"
            f" {conflict.current} since: see `templates diff {conflict.base}`, export anew, or use --force"
        ) from None
    except MediaFull as error:
        raise CommandFailure(str(error)) from None
    ids = files.group_ids(file)
    if ids is not None and (ids.corp_id, ids.app) == (app.settings.corp_id, app.name):
        own = {name: one for name, one in ids.template_ids.items() if name in book.group_welcomes}
        app.group_sync.adopt(own)
    _warn_of_approvals(app, number != before)
    if number != before:
        record(app.shared, Act.PUBLISHED, app.name, _signed(file.name, author), number)
    if number == before:
        say(f"{app.name}: revision {number} is this book already; nothing has changed")
    else:
        say(f"{app.name}: revision {number}" + (f", after {before}" if before else ", the first"))
    _remark(book, _members(app))


@templates.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--revision", metavar="REV", type=click.IntRange(1), help="Which; default: the current one.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there already.")
@APP
def export(file: Path | None, revision: int | None, force: bool, app_name: str | None) -> None:
    """Write a book to a file: a .yaml, or a .zip with the files that it shows. Without FILE the YAML is printed.

    A .zip also has the ids of the group welcomes, so that an import for the same app elsewhere makes none twice. The
    console's labels stand above the book, in comments.

    \b
    Example:  wecom-welcome templates export book.zip
    """
    app = connect(app_name)
    number = revision or current_revision(app)
    try:
        source, about = app.shared.books.exported(app.name, number)
        if file is None:
            record(app.shared, Act.EXPORTED, app.name, number=number)
            say_document(source)
            if about.files:
                say(f"and {counted(len(about.files), 'file')}: `templates export book.zip` has them too", err=True)
            return
        if file.suffix == ".zip":
            kept = app.group_sync.kept()
            ids = {name: one.template_id for name, one in kept.items() if one.template_id}
            bundle = replace(app.shared.books.bundle(app.name, number), source=source)
            content = files.to_zip(bundle, files.GroupIDs(app.settings.corp_id, app.name, ids))
        elif about.files:
            raise CommandFailure(
                f"this book shows {counted(len(about.files), 'file')}: export it as .zip, such as book.zip"
            )
        else:
            content = source.encode()
        with file.open("wb" if force else "xb") as target:
            target.write(content)
    except revisions.NoRevision as error:
        raise CommandFailure(str(error)) from None
    except FileExistsError:
        raise CommandFailure(f"{file} exists already; choose another name, or replace it with --force") from None
    except OSError as error:
        raise CommandFailure(f"{file}: {error.strerror}") from None
    record(app.shared, Act.EXPORTED, app.name, file.name, number)
    say(f"{file}: revision {number} of {app.name}, {counted(len(about.files), 'file')}")


@templates.command("list")
@AS_JSON
@APP
def list_(as_json: bool, app_name: str | None) -> None:
    """The templates and rules of the current book.

    \b
    Example:  wecom-welcome templates list
    """
    app = connect(app_name)
    number = current_revision(app)
    book = app.shared.books.book(app.name, number)
    if as_json:
        of = {"app": app.name, "revision": number}
        for one in book.templates.values():
            say_json(of | records.template(one))
        for nth, rule in enumerate(book.rules, 1):
            say_json(of | records.rule(rule, nth))
        for welcome in book.group_welcomes.values():
            say_json(of | records.group_welcome(welcome))
        return
    say(f"{app.name}: revision {number}")
    for template in book.templates.values():
        attachments = f"  + {', '.join(map(described, template.attachments))}" if template.attachments else ""
        first_line = template.text.strip().splitlines()[0]
        say(f"  {template.name}: {first_line}{attachments}")
    for nth, rule in enumerate(book.rules, 1):
        uses = ", ".join(
            f"{variant.template} {variant.weight}" if len(rule.variants) > 1 else variant.template
            for variant in rule.variants
        )
        when = " and ".join(name for name in rule.when.__slots__ if getattr(rule.when, name)) or "always"
        say(f"  rule {rule.label(nth)} ({when}) → {uses}")
    for welcome in book.group_welcomes.values():
        say(f"  group welcome {welcome.name}")


@templates.command()
@AS_JSON
@APP
def history(as_json: bool, app_name: str | None) -> None:
    """Every revision: when, by whom, and why; the newest first.

    \b
    Example:  wecom-welcome templates history
    """
    app = connect(app_name)
    current = current_revision(app)
    for revision in app.shared.books.history(app.name):
        if as_json:
            say_json(records.revision(revision, current))
            continue
        at = datetime.fromtimestamp(revision.at / 1000, app.shared.settings.timezone)
        when = f"{at:%Y-%m-%d %H:%M}" if revision.at else "at some time"
        mark = "*" if revision.number == current else " "
        author = padded(revision.author or "-", 12)
        say(f"{mark} {revision.number:>4}  {padded(when, 16)}  {author}  {revision.note}".rstrip())


@templates.command()
@click.argument("a", required=False, type=click.IntRange(1))
@click.argument("b", required=False, type=click.IntRange(1))
@APP
def diff(a: int | None, b: int | None, app_name: str | None) -> None:
    """What is different between revisions A and B. Default: the one before the current, and the current one.

    \b
    Example:  wecom-welcome templates diff 3 5
    """
    app = connect(app_name)
    new = b or current_revision(app)
    old = a or new - 1
    if old < 1:
        raise CommandFailure("there is one revision only; `templates list` shows it")
    books = app.shared.books
    try:
        for line in changes.changes(books.book(app.name, old), books.book(app.name, new)):
            say(line)
        sources = books.source(app.name, old), books.source(app.name, new)
    except revisions.NoRevision as error:
        raise CommandFailure(f"{error}; `templates history` shows which there are") from None
    for line in changes.lines(*sources, f"revision {old}", f"revision {new}"):
        say(line)


@templates.command()
@click.argument("revision", type=click.IntRange(1))
@AUTHOR
@NOTE
@click.option("--force", is_flag=True, help="Even if no package here provides placeholders of it.")
@APP
def rollback(revision: int, author: str, note: str, force: bool, app_name: str | None) -> None:
    """Make an earlier revision the current one: as a new revision, so this too can be undone.

    One with placeholders that no package here provides is refused, for customers would get their fallbacks.

    \b
    Example:  wecom-welcome templates rollback 3 --note wrong-brochure
    """
    app = connect(app_name)
    before, books = current_revision(app), app.shared.books
    try:
        gone = unprovided(books.stored_book(app.name, revision), books.book(app.name, before))
        if gone and not force:
            raise CommandFailure(
                f"no package here provides {', '.join(gone)}, which revision {revision} uses: install it, or let"
                " customers get the fallbacks with --force"
            )
        number = books.rollback(app.name, revision, author, note, before)
    except (revisions.NoRevision, revisions.RevisionConflict) as error:
        raise CommandFailure(f"{error}; `templates history` shows which there are") from None
    _warn_of_approvals(app, number != before)
    if number != before:
        record(app.shared, Act.ROLLED_BACK, app.name, str(revision), number)
    if number == before:
        say(f"{app.name}: revision {number} is the same as {revision}; nothing has changed")
    else:
        say(f"{app.name}: revision {number}, the same as {revision}")


@templates.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@AS_JSON
@APP
def groups(dry_run: bool, as_json: bool, app_name: str | None) -> None:
    """Bring WeCom's 入群欢迎语素材 in step with the book, now. Role upkeep does it by itself within a minute.

    Each that should be the same is compared with what WeCom has, and what was changed there is repaired. Those that
    were not made from a book of this app are never touched.

    \b
    Example:  wecom-welcome templates groups --dry-run
    """
    app = connect(app_name)
    current_revision(app)
    try:
        steps = app.group_sync.sync(check=True, dry_run=dry_run)
    except group_welcomes.SyncInProgress as error:
        raise CommandFailure(str(error)) from None
    changed = sum(step.act in (ADDED, EDITED, DELETED) for step in steps)
    if changed and not dry_run:
        record(app.shared, Act.GROUPS_SYNCED, app.name, number=changed)
    if not steps and not as_json:
        say("the book has no group welcomes, and none were made from it")
    for step in steps:
        if as_json:
            reason = translate(describe(step.detail)) if step.detail else None
            act = "same" if step.act == SAME else step.act
            say_json({"app": app.name, "name": step.name, "act": act, "reason": reason, "dry_run": dry_run})
            continue
        would = "would be " if dry_run and step.act in (ADDED, EDITED, DELETED) else ""
        mark = Painted(MARKS[step.act], Colour.WRONG if step.act == FAILED else None)
        say((mark, f" {step.name}: {would}{step.act}" + (f" ({explained(step.detail)})" if step.detail else "")))
    failed = [step.name for step in steps if step.act == FAILED]
    if failed:
        raise CommandFailure(f"{len(failed)} of {len(steps)} group welcomes are not in step: {', '.join(failed)}")


def _warn_of_approvals(app: AppServices, changed: bool) -> None:
    """Whoever works on this machine goes around the second person, which is said and stands in the audit trail."""
    if changed and app.shared.approvals.switched_on(app.name) is not None:
        say(f"! {app.name}: in the console a second person publishes; this went around it", err=True)


def _signed(name: str, author: str) -> str:
    """A file, and for whom it is imported if that is said."""
    return f"{name} ({author})" if author else name


def _members(app: AppServices) -> frozenset[str] | None:
    """The members with 客户联系; None, and a word, if WeCom does not say."""
    try:
        client = app.wecom.with_deadline(time.monotonic() + PATIENCE)
        return frozenset(client.external_contact.get_follow_user_list().get("follow_user", []))
    except WeComError as error:
        say(f"! whether the members exist is not known: {error.reason}", err=True)
        return None


def _remark(book: Book, members: frozenset[str] | None) -> None:
    for line in book_file.remarks(book, members):
        say(f"! {line}", err=True)


templates.add_command(explain)
