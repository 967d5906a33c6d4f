"""Welcomes: rules in order with how often each is met, the list of welcomes, and the form of one rule.

What is shown and changed is the draft; where there is none, what is live (tasks.books.draft). The pages around it,
all of one blueprint: publishing, revisions, explaining.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from tasks.books.draft import Draft, DraftError, Drafts, EditConflict, Moved
from tasks.books.recent import DAYS, recent_adds
from tasks.directory.lookup import directory
from tasks.directory.members import Department, departments, list_members
from tasks.messages import translate
from tasks.services import Services
from tasks.templates.edits import TEMPLATE, AddRule, Edit, MoveRule, SetRule, users
from tasks.templates.impact import Hits, hits, shadowed
from tasks.templates.model import MSGTYPES, Book, Rule
from tasks.templates.model import Template as Welcome
from webhook.console.welcomes import differences, explaining, publishing, revisions, rule_words
from webhook.console.welcomes.lookups import PATIENCE, book_of, member_names, named, names_of, states
from webhook.console.welcomes.rule_form import BLANK, RuleForm, field_names, rule_of
from webhook.console.welcomes.rule_words import Names

LOOKED_AT = 500  # events for the hits on the overview
Page = Response | str | tuple[str, int]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule as the overview shows it. `hits` None: not known. `hidden_by`: the rule in its way, 0 for none."""

    number: int
    digest: str
    rule: Rule
    conditions: tuple[rule_words.Condition, ...]
    shares: list[tuple[str, int]]
    hits: int | None
    hidden_by: int


@dataclass(frozen=True, slots=True)
class WelcomeRow:
    """One welcome as the overview shows it. `rules`: numbers; `rest`: everybody whom no rule matches gets it."""

    welcome: Welcome
    kinds: tuple[str, ...]
    rules: tuple[int, ...]
    rest: bool


def welcomes(services: Services) -> Blueprint:
    """The overview, the rules, and the pages that belong to them."""
    blueprint = Blueprint("welcomes", __name__)
    drafts = Drafts(services.redis, services.books)
    publishing.routes(blueprint, services, drafts)
    revisions.routes(blueprint, services, drafts)
    explaining.routes(blueprint, services, drafts)

    @blueprint.context_processor
    def vocabulary() -> dict[str, Any]:
        return {"words": rule_words, "field_words": differences.FIELDS}

    @blueprint.get("/welcomes")
    def show() -> str:
        draft = drafts.working(g.app.name)
        live = drafts.live(g.app.name) if draft.version else draft
        book = book_of(draft)
        latest = recent_adds(services.redis, g.app.name, services.settings.timezone, LOOKED_AT)
        found = hits(book, latest.contacts) if book else None
        return render_template(
            "welcomes/show.html",
            draft=draft,
            live=live,
            changes=differences.count(live.content, draft.content) if draft.version else 0,
            revision=services.books.revision(g.app.name, live.base) if live.base else None,
            published=request.args.get("published", type=int),
            rules=_rule_rows(services, draft, book, found),
            rest=None if book is None else _rest(book, found),
            welcomes=[] if book is None else list(_welcome_rows(draft, book)),
            hits=found,
            days=DAYS,
            complete=latest.complete,
            since=latest.since / 1000,
        )

    @blueprint.post("/welcomes/discard")
    def discard() -> Response:
        try:
            drafts.discard(g.app.name, request.form.get("version", 0, type=int))
            flash(_("The draft is discarded. What is live is unchanged"))
        except Moved:
            flash(_("The draft has changed meanwhile. Look at it again"))
        return redirect(url_for("welcomes.show"))

    # --- rules ---

    @blueprint.post("/welcomes/rules/move")
    def move() -> Response:
        places = 1 if request.form.get("to") == "down" else -1
        try:
            drafts.change(g.app.name, MoveRule(request.form.get("rule", ""), places), g.operator)
            flash(_("The rule is moved in the draft"))
        except (EditConflict, Moved):
            flash(_("The rule has changed meanwhile. Look at it again"))
        except DraftError as error:
            flash(translate(error.problems[0].what, _))
        return redirect(url_for("welcomes.show", _anchor="rules"))

    @blueprint.route("/welcomes/rules/new", methods=["GET", "POST"])
    def add_rule() -> Page:
        if request.method == "POST":
            return answer(RuleForm.of_request(request.form), new=True)
        welcome = request.args.get("use", "")
        form = RuleForm(use=[(welcome, "1")] if welcome in drafts.working(g.app.name).book().templates else [])
        state = request.args.get("state", "")
        if state:
            form.lists["state"] = [state]
        return page(form, new=True)

    @blueprint.route("/welcomes/rules/<rule>", methods=["GET", "POST"])
    def edit_rule(rule: str) -> Page:
        if request.method == "POST":
            return answer(RuleForm.of_request(request.form), new=False)
        content = drafts.working(g.app.name).content
        value = next((one for one in content.rules if content.digest_of(one) == rule), None)
        if value is None:
            flash(_("This rule has been changed or deleted meanwhile. These are the rules now"))
            return redirect(url_for("welcomes.show"))
        return page(RuleForm.of_value(value, rule), new=False)

    def answer(form: RuleForm, new: bool) -> Page:
        """What follows on any button of a rule's form."""
        act, _colon, where = request.form.get("do", "save").partition(":")
        if act == "more":
            return page(form, new, more=where)
        if act == "delete":
            return save(form, SetRule(form.was, None), new, _("The rule is deleted in the draft"))
        value = form.value()
        if form.wrong:
            return page(form, new), 422
        edit: Edit = AddRule(value) if new or act == "add" else SetRule(form.was, value)
        return save(form, edit, new, _("The rule is saved in the draft. It applies once it is published"))

    def save(form: RuleForm, edit: Edit, new: bool, done: str) -> Page:
        try:
            drafts.change(g.app.name, edit, g.operator)
        except EditConflict as conflict:
            return page(form, new, conflict=conflict), 409
        except DraftError as error:
            form.place(error.problems)
            return page(form, new), 422
        except Moved:
            flash(_("Somebody else saved in the same moment. Press the button again"))
            return page(form, new), 409
        flash(done)
        return redirect(url_for("welcomes.show", _anchor="rules"))

    def page(form: RuleForm, new: bool, more: str = "", conflict: EditConflict | None = None) -> str:
        draft = drafts.working(g.app.name)
        client = services.clients[g.app.name]
        tree = departments(services.redis, g.app.name, client, PATIENCE)
        clash = None
        if conflict is not None:
            theirs = _same_name(draft, conflict.original)
            clash = {
                "author": conflict.author,
                "at": conflict.at / 1000,
                "yours": rule_of(form.value()),
                "theirs": rule_of(theirs),
                "original": rule_of(conflict.original),
                "was": draft.content.digest_of(theirs) if theirs else "",
            }
        return render_template(
            "welcomes/rule.html",
            form=form,
            new=new,
            rows={kind: _rows(form, kind, more) for kind in ("member", "state", "hours", "dates", "use")},
            more=more,
            clash=clash,
            fields=field_names(),
            members=list_members(services.redis, g.app.name, client, PATIENCE),
            departments=_with_unknown(tree, form.lists.get("department", [])),
            states=states(services),
            templates=list(draft.content.named(TEMPLATE)),
            names=Names(member_names(services, form.lists.get("member", [])), named(tree)),
            days=DAYS,
        )

    return blueprint


def _with_unknown(tree: dict[int, Department], chosen: Iterable[str]) -> list[Department]:
    """Those to choose from, and those that a rule has without WeCom's knowing them."""
    unknown = [Department(int(one), "", 0) for one in chosen if one.isdecimal() and int(one) not in tree]
    return [*tree.values(), *unknown]


def _same_name(draft: Draft, original: Any) -> Any:
    """The rule that has the name of one that was changed; None if that cannot be told."""
    name = original.get("name") if isinstance(original, dict) else None
    return next((rule for rule in draft.content.rules if name and rule.get("name") == name), None)


def _rows(form: RuleForm, kind: str, more: str) -> list[Any]:
    """The rows of a list, and empty ones below."""
    pair = kind in ("hours", "dates", "use")
    filled: list[Any] = list(getattr(form, kind) if pair else form.lists.get(kind, []))
    blank = 3 if kind == more else 0 if kind == "use" and filled else BLANK
    return filled + [("", "") if pair else ""] * blank


def _rule_rows(services: Services, draft: Draft, book: Book | None, found: Hits | None) -> list[RuleRow]:
    if book is None:
        return []
    names = names_of(services, book.rules)
    members = {one for rule in book.rules for one in rule.when.member}
    hidden = shadowed(book, directory(services.redis, draft.app, members))
    content = draft.content
    return [
        RuleRow(
            number,
            content.digest_of(value),
            rule,
            rule_words.conditions(rule.when, names),
            rule_words.shares(rule),
            None if found is None else found.rules[number],
            hidden.get(number, 0),
        )
        for number, (rule, value) in enumerate(zip(book.rules, content.rules, strict=True), 1)
    ]


def _rest(book: Book, found: Hits | None) -> int | None:
    """How many no rule matched; None where one holds for everybody."""
    return None if any(rule.when.always for rule in book.rules) else found.rules[0] if found else 0


def _welcome_rows(draft: Draft, book: Book) -> Iterable[WelcomeRow]:
    for name, welcome in book.templates.items():
        numbers = tuple(
            number for number, rule in enumerate(book.rules, 1) if name in {one.template for one in rule.variants}
        )
        kinds = tuple(MSGTYPES[type(one)] for one in welcome.attachments)
        yield WelcomeRow(welcome, kinds, numbers, users(draft.content.values, name)[1])
