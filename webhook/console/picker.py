"""The part of a form by which members and departments are chosen: from a tree with head counts, or by a search.

What is chosen are checked boxes of the form's own fields. Without JavaScript the buttons of the picker bring the whole
form to its page and back, with what was typed; with it the picker asks for its tree and its search results here.

    do=pick:ID:find          search for what the field `find-ID` has
    do=pick:ID:open:NUMBER   open a department; `open-ID` are those that are open already
    do=enter                 the Enter key in any field: a search, where one is typed, else the form is saved

A page calls `asked` before it saves, `make` for the template, and the macro `pick.people` of pages/picker.html. Where
one member is wanted: `chosen_one`, `one`, and the macro `pick.one` beside the field in which an account can be typed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flask import Blueprint, abort, render_template, request
from werkzeug.datastructures import MultiDict

from tasks.directory.members import Department, Member, Staff
from webhook.console.search import Search
from webhook.console.staff import known_staff

FOUND = 50  # results that are shown
SHOWN = 200  # members of one department that are shown; the others are found by a search
SMALL = 40  # members and departments together that are shown at once
LONGEST = 64  # characters of a search
ONE = "who"  # the id of a picker of one member

blueprint = Blueprint("picker", __name__)
_NAME = re.compile("[a-z][a-z_]{0,31}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be chosen. `field`: of the form. `name` "" where it is not known; `where`: a department's name.

    size: members of a department; None: it is a member.
    """

    field: str
    value: str
    name: str = ""
    where: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Picker:
    """A picker of a form. `members`, `departments`: the names of the fields; "" if they cannot be chosen.

    found: the results of a search, None: the tree is shown. more: how many results are not shown.
    used: whether its search or its tree was asked for with this request.
    """

    id: str
    members: str
    departments: str
    staff: Staff
    chosen: tuple[Choice, ...] = ()
    search: str = ""
    found: tuple[Choice, ...] | None = None
    more: int = 0
    opened: frozenset[int] = field(default_factory=frozenset)
    used: bool = False

    @property
    def top(self) -> list[Department]:
        return self.staff.children(0)

    def children(self, department: Department) -> list[Department]:
        return self.staff.children(department.id)

    def inside(self, department: int) -> list[Choice]:
        """The members right in a department, as far as they can be chosen and are shown."""
        if not self.members:
            return []
        listed = sorted(self.staff.inside.get(department, []), key=lambda one: (not one.name, one.name, one.id))
        return [Choice(self.members, one.id, one.name) for one in listed[:SHOWN]]

    def hidden(self, department: int) -> int:
        """How many members of a department are not shown."""
        return max(0, len(self.staff.inside.get(department, [])) - SHOWN) if self.members else 0

    def of(self, department: Department) -> Choice:
        return Choice(self.departments, str(department.id), department.name, size=self.staff.sizes[department.id])

    def has_below(self, department: Department) -> bool:
        """Whether there is something to choose in a department or below it."""
        return bool(self.children(department) or (self.members and self.staff.inside.get(department.id)))

    def is_shown(self, department: Department) -> bool:
        """Whether what is in a department is part of the page, and not fetched when it is opened."""
        small = len(self.staff.departments) + (len(self.staff.members) if self.members else 0) <= SMALL
        return small or self.is_open(department)

    def is_open(self, department: Department) -> bool:
        return department.id in self.opened or (len(self.top) == 1 and department == self.top[0])

    def is_chosen(self, one: Choice) -> bool:
        return (one.field, one.value) in {(each.field, each.value) for each in self.chosen}


# ------------------------------------------------------------------------------------------------ for pages


def asked(form: "MultiDict[str, str]") -> bool:
    """Whether a form was sent for a picker, so that nothing is to be saved."""
    act = form.get("do", "")
    searches = any(name.startswith("find-") and text.strip() for name, text in form.items())
    return act.startswith("pick:") or (act == "enter" and searches)


def make(
    identity: str,
    form: "MultiDict[str, str]",
    members: str = "",
    departments: str = "",
    chosen_members: Iterable[str] = (),
    chosen_departments: Iterable[str] = (),
) -> Picker:
    """A picker as it stands in a form that was sent, or in a new one; `members`, `departments`: names of fields."""
    staff = known_staff()
    chosen = [_department(staff, departments, one) for one in dict.fromkeys(chosen_departments)]
    chosen += [_member(staff, members, one) for one in dict.fromkeys(chosen_members)]
    act, _, rest = form.get("do", "").partition(":")
    mine, _, what = rest.partition(":")
    used = act == "pick" and mine == identity
    search = form.get(f"find-{identity}", "").strip()[:LONGEST]
    opens = [*form.getlist(f"open-{identity}"), *([what.removeprefix("open:")] if used else [])]
    opened = {int(one) for one in opens if one.isascii() and one.isdigit() and len(one) < 12}
    above = {each for one in opened for each in staff.path(one)}
    if used and what.startswith("open:"):
        search = ""
    found, more = _found(staff, search, members, departments) if search else (None, 0)
    return Picker(
        identity, members, departments, staff, tuple(chosen), search, found, more, frozenset(above), used=used
    )


def one(form: "MultiDict[str, str]") -> Picker:
    """A picker of one member, closed unless it was asked for."""
    return make(ONE, form, members="picked")


def chosen_one(form: "MultiDict[str, str]") -> str | None:
    """The userid that was ticked in a picker of one member, last if there are several; None: nobody was."""
    picked = form.getlist("picked")
    return picked[-1].strip() if picked else None


def names(chosen: Iterable[str]) -> Mapping[str, str]:
    """userid → name of members, or the userid itself where it is not known."""
    known = known_staff().members
    return {one: known[one].name or one if one in known else one for one in chosen}


@blueprint.post("/pick")
def pick() -> str:
    """A picker's results, its tree, or what is in one department: parts of a page."""
    identity, members, departments = (request.args.get(name, "") for name in ("id", "members", "departments"))
    if not _NAME.fullmatch(identity) or not all(_NAME.fullmatch(one) for one in (members, departments) if one):
        abort(404)
    department = request.args.get("open", 0, type=int)
    if department and department not in known_staff().departments:
        abort(404)
    picker = make(identity, MultiDict() if department else request.form, members, departments)
    return render_template("pick.html", picker=picker, department=known_staff().departments.get(department))


# ------------------------------------------------------------------------------------------------ what is found


def _found(staff: Staff, text: str, members: str, departments: str) -> tuple[tuple[Choice, ...], int]:
    """(the results of a search, how many more there are)."""
    search, found = Search(text), []
    if departments:
        found += [
            _department(staff, departments, str(one.id))
            for one in staff.departments.values()
            if search.finds(one.name, str(one.id))
        ]
    if members:
        places = {one.id: _places(staff, one) for one in staff.members.values()}
        some = [one for one in staff.members.values() if search.finds(one.name, one.id, places[one.id])]
        some.sort(
            key=lambda one: (not search.finds(one.name), len(one.name), one.name, one.id)
        )  # zw: 张伟 before 周文静
        found += [_member(staff, members, one.id) for one in some]
    return tuple(found[:FOUND]), max(0, len(found) - FOUND)


def _member(staff: Staff, field: str, user_id: str) -> Choice:
    member = staff.members.get(user_id) or Member(user_id)
    return Choice(field, user_id, member.name, _places(staff, member))


def _department(staff: Staff, field: str, number: str) -> Choice:
    one = staff.departments.get(int(number)) if number.isascii() and number.isdigit() else None
    if one is None:
        return Choice(field, number, size=0)
    above = staff.departments.get(one.parent)
    return Choice(field, number, one.name, above.name if above else "", staff.sizes[one.id])


def _places(staff: Staff, member: Member) -> str:
    """The names of a member's departments."""
    places = (staff.departments[one].name for one in member.departments if one in staff.departments)
    return " ".join(one for one in places if one)
