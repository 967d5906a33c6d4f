"""`wecom-welcome channels …`: 联系我 QR codes and their State."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from tasks.audit import Act
from tasks.channels import NAME_LIMIT, STATE_LIMIT, Channel, ChannelError, Found, picture, rule_for
from tasks.services import AppServices
from tasks.templates.model import Book
from tasks.wecom import WeComError
from webhook import records
from webhook.cli.common import APP, AS_JSON, CommandFailure, Group, connect, in_a_line, not_empty, record
from webhook.cli.terminal import Progress, say, say_json, table

P = ParamSpec("P")

PATIENCE = 15.0  # seconds for a code's image
SHOWN = 50  # of the codes that were made elsewhere, with what WeCom has of them
CURES = {41040: "WeCom does not make such a code for this app: look at the app's rights in 客户联系"}
UNSURE = "look with `channels list --all` whether it was done, then try again"


def _words(limit: int) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A text of so many characters."""

    def check(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        text = None if value is None else value.strip()
        if text == "":
            raise click.BadParameter("it is empty.")
        if text is not None and len(text) > limit:
            raise click.BadParameter(f"it has {len(text)} characters, and WeCom takes {limit}.")
        return text

    return check


NAME = click.argument("name", callback=_words(NAME_LIMIT))
MEMBER = click.option(
    "--member",
    "members",
    metavar="USERID",
    multiple=True,
    callback=not_empty,
    help="The userid of a member it leads to; several: again.",
)
DEPARTMENT = click.option(
    "--department",
    "departments",
    metavar="ID",
    multiple=True,
    type=click.IntRange(1),
    help="A department's id; several: again.",
)
STATE = click.option(
    "--state",
    metavar="STATE",
    callback=_words(STATE_LIMIT),
    help="What comes with the event, and rules ask for. Default: one is generated.",
)
VERIFY = "Whether customers are added without the member's confirmation."
PNG = click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write the QR code to this file.")


def told(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose errors are one line that says what to do."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ChannelError as error:
            raise CommandFailure(str(error)) from None
        except WeComError as error:
            raise CommandFailure(in_a_line(error, CURES, UNSURE)) from None

    return run


@click.group(cls=Group)
def channels() -> None:
    """QR codes (联系我) by which customers add members, each with a State that rules can ask for.

    WeCom's console does not show codes that were made through the API: they are kept here, and in backups.

    \b
    Example:  wecom-welcome channels create douyin --member zhangsan --png douyin.png
    """


@channels.command()
@NAME
@STATE
@MEMBER
@DEPARTMENT
@click.option("--skip-verify/--no-skip-verify", default=True, show_default=True, help=VERIFY)
@PNG
@APP
@told
def create(
    name: str,
    state: str | None,
    members: tuple[str, ...],
    departments: tuple[int, ...],
    skip_verify: bool,
    png: Path | None,
    app_name: str | None,
) -> None:
    """Make a QR code that leads to members, or to those of departments.

    \b
    Example:  wecom-welcome channels create douyin --member zhangsan --png douyin.png
    """
    app = connect(app_name)
    channel = app.channels.create(name, state or "", members, departments, skip_verify)
    record(app.shared, Act.CHANNEL_CREATED, app.name, name)
    say(f"{name}: State {channel.state}, config_id {channel.config_id}")
    say(f"  {channel.qr_code}")
    _warn(_book(app), channel)
    _write(channel.name, channel.qr_code, png)


@channels.command("list")
@click.option("--all", "everything", is_flag=True, help="Also codes that WeCom has, and that were not made here.")
@AS_JSON
@APP
@told
def list_(everything: bool, as_json: bool, app_name: str | None) -> None:
    """The channels: name, State, whom they lead to, config_id, and the rule that the State has.

    \b
    Example:  wecom-welcome channels list --all
    """
    app = connect(app_name)
    known, book = app.channels.all(), _book(app)
    listed = app.channels.listed() if everything else []
    here = {channel.config_id for channel in known.values()}
    others = [config_id for config_id in listed if config_id not in here]
    if as_json:
        for one in known.values():
            at_wecom = one.config_id in listed if everything else None
            say_json(records.channel(app.name, one, _found(book, one.state), at_wecom))
    else:
        say(*_listed(known.values(), book, listed if everything else None))
    with Progress("asking WeCom") as progress:
        for number, config_id in enumerate(others):
            way: Mapping[str, Any] = app.channels.at_wecom(config_id) if number < SHOWN else {}
            progress(number, min(SHOWN, len(others)))
            if as_json:
                say_json(records.foreign_channel(app.name, config_id, way))
                continue
            about = f"{way.get('remark') or '-'}  {way.get('state') or '-'}" if way else "…"
            say(f"not made here: {about}  {config_id}")
    if not known and not others and not as_json:
        say("No channels. `wecom-welcome channels create --help` shows how one is made.", err=True)


@channels.command()
@NAME
@PNG
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as `channels list` has them.")
@APP
@told
def show(name: str, png: Path | None, as_json: bool, app_name: str | None) -> None:
    """One channel, as it is kept here and as WeCom has it.

    \b
    Example:  wecom-welcome channels show douyin --png douyin.png
    """
    app = connect(app_name)
    channel = app.channels.get(name)
    way = app.channels.at_wecom(channel.config_id)
    if as_json:
        say_json(records.channel(app.name, channel, _found(_book(app), channel.state), True))
        if png is not None:
            _write(name, str(way.get("qr_code") or channel.qr_code), png, err=True)
        return
    made = datetime.fromtimestamp(channel.at, app.shared.settings.timezone)
    say(f"{name}: State {channel.state}, made {made:%Y-%m-%d %H:%M}")
    say(f"  leads to {_whom(channel)}, {'nobody has' if channel.skip_verify else 'the member has'} to confirm")
    say(f"  config_id {channel.config_id}")
    say(f"  {_rule(_book(app), channel.state)}")
    qr_code = str(way.get("qr_code") or channel.qr_code)
    say(f"  {qr_code}")
    if way.get("state", channel.state) != channel.state:
        say(f"! WeCom has another State: {way['state']}; `channels update {name} --state …` sets it", err=True)
    _write(name, qr_code, png)


@channels.command()
@NAME
@click.option("--name", "new_name", callback=_words(NAME_LIMIT), help="A new name.")
@click.option("--state", metavar="STATE", callback=_words(STATE_LIMIT), help="Another State.")
@MEMBER
@DEPARTMENT
@click.option("--skip-verify/--no-skip-verify", default=None, help=VERIFY)
@APP
@told
def update(
    name: str,
    new_name: str | None,
    state: str | None,
    members: tuple[str, ...],
    departments: tuple[int, ...],
    skip_verify: bool | None,
    app_name: str | None,
) -> None:
    """Change a channel. What is not given stays; members and departments replace the old ones. The code is the same.

    \b
    Example:  wecom-welcome channels update douyin --member lisi
    """
    app = connect(app_name)
    if new_name is None and state is None and not members and not departments and skip_verify is None:
        raise CommandFailure("nothing to change: give --name, --state, --member, --department or --skip-verify")
    channel = app.channels.update(name, new_name, state, members, departments, skip_verify)
    record(app.shared, Act.CHANNEL_CHANGED, app.name, channel.name)
    say(f"{channel.name}: State {channel.state}, leads to {_whom(channel)}")
    _warn(_book(app), channel)


@channels.command()
@NAME
@click.option("--yes", is_flag=True, help="Yes, for good.")
@click.option("--here-only", is_flag=True, help="Forget it here, and let WeCom keep it.")
@APP
@told
def delete(name: str, yes: bool, here_only: bool, app_name: str | None) -> None:
    """Delete a channel for good: its code, wherever it is printed, leads nowhere.

    \b
    Example:  wecom-welcome channels delete douyin --yes
    """
    app = connect(app_name)
    channel = app.channels.get(name)
    if not yes:
        raise CommandFailure(f"printed codes of {name} (State {channel.state}) would lead nowhere; if so, add --yes")
    app.channels.delete(name, here_only)
    record(app.shared, Act.CHANNEL_DROPPED if here_only else Act.CHANNEL_DELETED, app.name, name)
    say(f"{name} is forgotten here, and WeCom keeps it" if here_only else f"{name} is deleted")


# ------------------------------------------------------------------------------------------------


def _book(app: AppServices) -> Book | None:
    number = app.shared.books.current(app.name)
    return None if number is None else app.shared.books.book(app.name, number)


def _whom(channel: Channel) -> str:
    return ", ".join([*channel.members, *(f"department {one}" for one in channel.departments)])


def _listed(known: Iterable[Channel], book: Book | None, listed: Sequence[str] | None) -> list[str]:
    """A line for each channel. `listed`: the config_ids that WeCom has; None: it was not asked."""
    rows = []
    for one in known:
        is_gone = listed is not None and one.config_id not in listed
        gone = "  (WeCom does not have it any more)" if is_gone else ""
        rows.append([one.name, one.state, _whom(one), one.config_id, _rule(book, one.state) + gone])
    return table(rows)


def _found(book: Book | None, state: str) -> Found | None:
    return None if book is None else rule_for(book, state)


def _rule(book: Book | None, state: str) -> str:
    found = _found(book, state)
    if found is None:
        return "no rule of its own"
    if found.hidden_by:
        return f"rule {found.rule}, which rule {found.hidden_by} hides"
    return f"rule {found.rule}" + (f", which also asks for {' and '.join(found.further)}" if found.further else "")


def _warn(book: Book | None, channel: Channel) -> None:
    found = _found(book, channel.state)
    if found is None:
        say(
            f"! State {channel.state} has no rule of its own in the current book, so its customers get what others get:"
            f' add a rule with `when: {{state: "{channel.state}"}}`',
            err=True,
        )
    elif found.hidden_by:
        say(f"! rule {found.rule} is never reached: rule {found.hidden_by} before it always holds", err=True)


def _write(name: str, url: str, png: Path | None, err: bool = False) -> None:
    if png is None:
        return
    try:
        content, kind = picture(url, time.monotonic() + PATIENCE)
    except ChannelError as error:
        raise CommandFailure(f"{error}; the channel is there: `channels show {name} --png {png}` tries again") from None
    try:
        png.write_bytes(content)
    except OSError as error:
        raise CommandFailure(
            f"{png}: {error.strerror}; the channel is there: write it elsewhere with `channels show {name} --png`"
        ) from None
    say(f"{png}: the QR code" + ("" if kind == "PNG" else f", a {kind}"), err=err)
