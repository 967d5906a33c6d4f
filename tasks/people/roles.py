"""Roles, and who has which. Pure.

A role is given to a member, or to a department and all below it, of one corp; somebody who has several has the highest.
Whom CONSOLE_ADMINS names is an admin whatever is given: that is how the first one comes in.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """Each may do what the one before it may."""

    VIEWER = 1  # looks at everything but people and the audit trail; takes out no list of customers
    EDITOR = 2  # drafts, media, channels, missed customers
    PUBLISHER = 3  # publishes, rolls back, pauses
    ADMIN = 4  # people, settings, audit trail

    @property
    def word(self) -> str:
        """As it is stored, and named in forms."""
        return self.name.lower()


class Kind(StrEnum):
    """Of whom a role is given to."""

    MEMBER = "member"
    DEPARTMENT = "department"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that was given. `id`: a userid, or a department's number. `at`: Unix seconds."""

    corp_id: str
    kind: Kind
    id: str
    role: Role
    name: str = ""
    by: str = ""
    at: float = 0.0

    @property
    def field(self) -> str:
        """Its name in the store: userids are the same in upper and lower case (doc 90195)."""
        return field_of(self.corp_id, self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Admin:
    """An entry of CONSOLE_ADMINS. `corp_id` "": of the only corp there is."""

    userid: str
    corp_id: str = ""


def read_role(text: object) -> Role | None:
    """A role by its word; None for what is none."""
    return next((role for role in Role if role.word == text), None)


def field_of(corp_id: str, kind: Kind, identity: str) -> str:
    return f"{corp_id}|{kind}|{identity.lower()}"


def fields_of(corp_id: str, userid: str, departments: Collection[int]) -> list[str]:
    """Under which names somebody's roles may be stored. `departments`: with those above them."""
    own = [field_of(corp_id, Kind.DEPARTMENT, str(one)) for one in sorted(departments)]
    return [field_of(corp_id, Kind.MEMBER, userid), *own]


def is_admin(corp_id: str, userid: str, admins: Iterable[Admin]) -> bool:
    """Whether CONSOLE_ADMINS names a member of this corp."""
    return any(one.userid.lower() == userid.lower() and one.corp_id in ("", corp_id) for one in admins)


def role_of(corp_id: str, userid: str, given: Iterable[Grant], admins: Iterable[Admin]) -> Role | None:
    """The highest role of a member. `given`: the grants found under `fields_of`. None: none at all."""
    if is_admin(corp_id, userid, admins):
        return Role.ADMIN
    return max((one.role for one in given), default=None)
