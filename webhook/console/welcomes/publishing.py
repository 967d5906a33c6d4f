"""Review and publish: what a draft changes, remarks, and who would have been greeted differently."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.books.approvals import digest
from tasks.books.draft import Behind, Draft, DraftError, Moved, book_of
from tasks.books.draft_media import is_kept
from tasks.books.media_store import MediaFull
from tasks.books.recent import DAYS, recent_adds
from tasks.books.revisions import NoRevision, NotApproved
from tasks.directory.lookup import directory
from tasks.messages import Message, translate
from tasks.placeholders.installed import unprovided
from tasks.templates.edits import RULE, TEMPLATE, Content, Part
from tasks.templates.impact import compare, shadowed, unnamed_states
from tasks.templates.merge import ORDER, Clash, TakeBack
from tasks.templates.merge_rules import keyed, moved
from tasks.templates.model import DEFAULT, Book, Link, MediaID, MiniProgram, Rule
from tasks.templates.problems import BookError
from tasks.templates.render import needed
from tasks.templates.yaml_writer import normal
from webhook.console import current
from webhook.console.links import inside
from webhook.console.welcomes import approvals
from webhook.console.welcomes.change_groups import grouped
from webhook.console.welcomes.differences import MOVED, fields, flat, outline, part_of, unseen
from webhook.console.welcomes.lookups import UNPROVIDED, member_names, names_of, needs_a_word
from webhook.console.welcomes.media_status import standing
from webhook.console.welcomes.rule_form import rule_of, rules_in
from webhook.console.welcomes.vocabulary import vocabulary
from webhook.errcode_texts import explained

SHOWN = 50  # customers with another welcome, on one page
CHANNELS = 5  # without a rule, in one warning
NAMED = 5  # rules or welcomes of which one thing is to be said
FILES = 5  # that WeCom refused, in one warning each
NOTE_LIMIT = 200  # characters


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark about a draft. tone: ok | warn. `waits`: it will be another one in moments."""

    tone: str
    what: Message
    waits: bool = False


blueprint = Blueprint("publishing", __name__)
blueprint.context_processor(vocabulary)


@blueprint.route("/welcomes/publish", methods=["GET", "POST"])
def publish() -> ResponseReturnValue:
    """The review, and publishing itself."""
    if request.method == "GET":
        return _review()
    note = request.form.get("note", "").strip()
    if len(note) > NOTE_LIMIT:
        return _review(note, Message.of("A note has at most %(most)s characters", most=NOTE_LIMIT)), 422
    drafts, version = current.services().drafts, request.form.get("version", 0, type=int)
    draft = drafts.get(current.app().name)
    if draft is not None and draft.version == version and needs_a_word(book_of(draft)):
        return _review(note, UNPROVIDED), 409
    try:
        number = drafts.publish(current.app().name, version, current.operator(), note)
    except Moved as moved:
        if moved.draft is None:
            flash(_("There is no draft any more: somebody has published or discarded it"))
            return redirect(url_for("welcomes.show"))
        why = Message.of("The draft has changed while you looked at it. Look at it again, then publish")
        return _review(note, why), 409
    except Behind:
        return _review(note), 409
    except NotApproved:
        return _review(note, Message.of("A second person publishes here: ask for an approval")), 409
    except MediaFull as full:
        return _review(note, Message(str(full))), 422
    except (BookError, NoRevision) as error:
        return _review(note, Message("%(why)s", {"why": str(error)})), 422
    current.record(Act.PUBLISHED, number=number)
    return redirect(url_for("welcomes.show", published=number))


@blueprint.post("/welcomes/rebase")
def rebase() -> ResponseReturnValue:
    """Apply the draft's changes to what is live now; parts that both changed as chosen in the form."""
    choices = {
        part_of(name.removeprefix("choice:")): value
        for name, value in request.form.items()
        if name.startswith("choice:") and value in ("yours", "theirs")
    }
    drafts, version = current.services().drafts, request.form.get("version", 0, type=int)
    try:
        drafts.rebase(current.app().name, version, current.operator(), choices)
        flash(_("The draft has your changes and what was published meanwhile"))
    except Moved:
        flash(_("The draft has changed meanwhile. Look at it again"))
    except Behind:
        return _review(chosen=choices, why=Message.of("Choose which one to keep for each part")), 422
    except DraftError as error:
        return _review(chosen=choices, why=error.problems[0].what), 422
    return redirect(url_for("publishing.publish"))


@blueprint.post("/welcomes/take-back")
def take_back() -> ResponseReturnValue:
    """Make one part of the draft what it is live, so that the rest can be published without it."""
    drafts, app = current.services().drafts, current.app().name
    live, draft = drafts.live(app), drafts.get(app)
    back = request.form.get("back", "")
    what, _bar, named = request.form.get("change", "").partition("|")
    try:
        if draft is None or draft.base != live.base or draft.version != request.form.get("version", 0, type=int):
            raise Moved(draft)
        edit = TakeBack(live.content, part_of(named), place=what == MOVED)
        draft = drafts.change(app, edit, current.operator())
        flash(_("The change is taken back. It is no longer in the draft"))
    except Moved:
        flash(_("The draft has changed meanwhile. Look at it again"), "warn")
    except DraftError as error:
        flash(translate(error.problems[0].what, _), "bad")
    if draft is None or not draft.version:
        return redirect(url_for("welcomes.show"))
    return redirect(f"{inside(back) if back else url_for('publishing.publish')}#changes")


def _review(note: str = "", why: Message | None = None, chosen: Mapping[Part, str] | None = None) -> str:
    services, app = current.services(), current.app().name
    drafts = services.drafts
    draft = drafts.get(app)
    if draft is None:
        return render_template("welcomes/nothing.html")
    live = drafts.live(app)
    book, before = book_of(draft), book_of(live)
    behind = drafts.behind(draft)
    latest = recent_adds(services.redis, app, current.zone())
    impact = compare(before, book, latest.contacts) if book and not behind else None  # not what would go live
    shown = impact.different[:SHOWN] if impact else ()
    origin = drafts.origin(draft) if behind else live.content
    changes = outline(origin, draft.content)
    groups = grouped(changes, request.args)
    clashes = [shown_clash(clash) for clash in behind[1]] if behind else []
    return render_template(
        "welcomes/publish.html",
        draft=draft,
        approval=approvals.of(draft),
        content=digest(draft),
        live=live,
        revision=services.books.revision(app, live.base) if live.base else None,
        behind=behind,
        clashes=clashes,
        chosen=chosen or {},
        unseen=unseen(origin, draft.content, live.content) if behind else (),
        changes=len(changes),
        groups=groups,
        remarks=list(_remarks(draft, book, unnamed_states(book, latest.contacts))) if book else [],
        impact=impact,
        rows=shown,
        members=member_names({one.contact.user_id for one in shown}),
        complete=latest.complete,
        since=latest.since / 1000,
        days=DAYS,
        note=note,
        why=why,
        rule_of=rule_of,
        names=names_of([*rules_in(groups), *_clashing(clashes)]),
        unprovided=unprovided(book, before),
    )


def _clashing(clashes: Iterable[Mapping[str, Any]]) -> Iterator[Rule]:
    """The rules in clashes as `shown_clash` has them."""
    for clash in clashes:
        for side in ("yours", "theirs", "original"):
            moved_rules = [rule for _number, rule in clash.get("order", {}).get(side, ())]
            yield from (rule for rule in (*moved_rules, clash.get("rules", {}).get(side)) if rule is not None)


def _remarks(draft: Draft, book: Book, states: Counter[str]) -> Iterator[Remark]:
    """Remarks before publishing. A draft is always valid, so its lengths and links are right."""
    yield Remark("ok", Message.of("Lengths, attachments, links and rules are within WeCom's limits"))
    yield from _media(draft, book)
    members = {one for rule in book.rules for one in rule.when.member}
    hidden = shadowed(book, directory(current.services().redis, draft.app, members))
    for number, other in list(hidden.items())[:NAMED]:
        labels = {"rule": _label(book, number), "other": _label(book, other)}
        yield Remark(
            "warn", Message.of("Rule %(rule)s is never reached: rule %(other)s always matches first", **labels)
        )
    if len(hidden) > NAMED:
        yield Remark("warn", Message.of("%(n)s more rules are never reached", n=len(hidden) - NAMED))
    used = {variant.template for rule in book.rules for variant in rule.variants}
    if all(not rule.when.always for rule in book.rules):
        used.add(DEFAULT)
    unused = [name for name in book.templates if name not in used]
    for name in unused[:NAMED]:
        yield Remark("warn", Message.of("Welcome “%(name)s” is used by no rule", name=name))
    if len(unused) > NAMED:
        yield Remark("warn", Message.of("%(n)s more welcomes are used by no rule", n=len(unused) - NAMED))
    for state, count in states.most_common(CHANNELS):
        words = Message.of(
            "Channel %(state)s has no rule of its own; %(count)s new customers came through it in %(days)s days",
            state=state,
            count=count,
            days=DAYS,
        )
        yield Remark("warn", words)


def _media(draft: Draft, book: Book) -> Iterator[Remark]:
    """Whether its files are at WeCom; and a media id of the author's own, which will not stay."""
    wanted, now = needed(book), time.time()
    records = current.services().books.ready.all(current.app().settings.corp_id)
    states = {upload: standing(upload, records, now) for upload in wanted}
    refused = {
        wanted[upload].name: one.reason for upload, one in states.items() if one.state == "absent" and one.reason
    }
    there = sum(one.is_there for one in states.values())
    if there == len(wanted) > 0:
        yield Remark("ok", Message.of("Media are ready at WeCom: %(n)s of %(m)s", n=there, m=len(wanted)))
    elif there + len(refused) < len(wanted):
        yield _on_the_way(draft, there, len(wanted), now)
    for name, why in [*refused.items()][:FILES]:
        words = Message.of(
            "“%(file)s” is not at WeCom: %(why)s. Welcomes would go out without it", file=name, why=explained(why)
        )
        yield Remark("warn", words)
    for one in book.attachments():
        source = None if isinstance(one, Link) else one.cover if isinstance(one, MiniProgram) else one.source
        if isinstance(source, MediaID):
            yield Remark(
                "warn",
                Message.of(
                    "An attachment has a media id of your own, which lives three days. A file is renewed by itself"
                ),
            )
            return


def _on_the_way(draft: Draft, there: int, of: int, now: float) -> Remark:
    if is_kept(draft, now):
        words = Message.of(
            "Media at WeCom: %(n)s of %(m)s, the rest is on its way. "
            "Published now, welcomes go out without it until it is there",
            n=there,
            m=of,
        )
        return Remark("warn", words, waits=True)
    words = Message.of(
        "Media at WeCom: %(n)s of %(m)s; this draft is old, so the rest is uploaded once it is published. "
        "Welcomes go out without it until then",
        n=there,
        m=of,
    )
    return Remark("warn", words)


def _label(book: Book, number: int) -> Message:
    name = book.rules[number - 1].name
    return Message.of("%(number)s “%(name)s”", number=number, name=name) if name else Message("%(n)s", {"n": number})


def shown_clash(clash: Clash) -> dict[str, Any]:
    """A part that both sides changed, for the template. `rules`: side → the rules that say what it wants."""
    sides = {"yours": clash.yours, "theirs": clash.theirs, "original": clash.original}
    gone = [side for side, value in sides.items() if value is None]
    if clash.part == ORDER:
        return {"part": clash.part, "order": {side: _reordered(clash, value) for side, value in sides.items()}}
    if clash.part.kind == RULE:
        value = clash.yours or clash.theirs or {}
        named = value.get("name", "") if isinstance(value, dict) else ""
        rules = {side: rule_of(one) for side, one in sides.items()}
        return {"part": clash.part, "rules": rules, "name": named, "gone": gone}
    names = [change.name for change in fields(clash.yours, clash.theirs)]
    texts = {name: {side: flat(value).get(name, "") for side, value in sides.items()} for name in names}
    welcome = clash.part.kind == TEMPLATE
    return {"part": clash.part, "fields": texts, "name": clash.part.name, "gone": gone, "welcome": welcome}


def _reordered(clash: Clash, rules: Any) -> list[tuple[int, Rule | None]]:
    """(number, rule) of the rules that either side moved, in the order of one side."""
    before, *sides = (Content(normal({"rules": one})) for one in (clash.original, clash.yours, clash.theirs))
    began, *others, shown = keyed(before, *sides, Content(normal({"rules": rules})))
    touched = {key for one in others for key in moved(began, one)}
    return [(number, rule_of(rule)) for number, (key, rule) in enumerate(shown.items(), 1) if key in touched]
