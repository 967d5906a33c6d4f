"""What WeCom's callbacks tell: a contact that was added, or what became of one later; and their ids. Pure.

Field names are WeCom's, turned to Python once: `user_id` is the member, `external_user_id` the customer,
`welcome_code` the one-use permission to greet. Doc 92130.
"""

import hashlib
from dataclasses import dataclass, field

CHANGES = {  # ChangeType → what rules and records call it; the three that may carry a welcome code (docs 92130, 92005)
    "add_external_contact": "add",
    "add_half_external_contact": "half_add",
    "msg_audit_approved": "audit_approved",
}

LEFT, REMOVED, EDITED, NOT_TRANSFERRED = (
    "del_follow_user",  # the customer deleted the member
    "del_external_contact",  # the member deleted the customer
    "edit_external_contact",
    "transfer_fail",
)
LATER_CHANGES = (LEFT, REMOVED, EDITED, NOT_TRANSFERRED)  # ChangeTypes of what follows an add (doc 92130)
BY_TRANSFER = "DELETE_BY_TRANSFER"  # why a contact was removed: a colleague has taken the customer over


@dataclass(frozen=True, slots=True)
class ContactAdded:
    """A member and a customer became contacts.

    `welcome_code` is "" when WeCom gave none (doc 92130 lists why; it is normal), `state` is "" when the customer
    did not come through a channel. `created_at` is WeCom's CreateTime in whole seconds, `pushed_at` the timestamp that
    WeCom signed the push with, by the same clock; None if that was no time. A `rehearsal` is everything but the send.
    """

    app: str
    corp_id: str
    change: str  # a value of CHANGES
    user_id: str
    external_user_id: str
    created_at: int
    welcome_code: str = field(default="", repr=False)
    state: str = ""
    rehearsal: bool = False
    pushed_at: int | None = field(default=None, compare=False)  # of the push that was stored, not of the event
    id: str = field(init=False, compare=False)
    """32 hex digits: the first 128 bits of SHA-256 over what tells two adds apart.

    The vendor's advised pair (FromUserName, CreateTime) loses customers: the first is always "sys", the second in whole
    seconds. All parts come from the signed, decrypted body, so a re-sent event has the same id.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", _id(self, self.welcome_code))


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """Something became of a contact after the add. `change`: one of LATER_CHANGES.

    `detail`: WeCom's Source (`del_external_contact`) or FailReason (`transfer_fail`), a word of its own; "" without.
    For the other fields see ContactAdded.
    """

    app: str
    corp_id: str
    change: str
    user_id: str
    external_user_id: str
    created_at: int
    detail: str = ""
    pushed_at: int | None = field(default=None, compare=False)
    id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", _id(self, self.detail))

    @property
    def is_loss(self) -> bool:
        """Whether the two are no contacts any more, and no colleague has taken the customer over."""
        return self.change == LEFT or (self.change == REMOVED and self.detail != BY_TRANSFER)


def _id(event: ContactAdded | ContactChanged, last: str) -> str:
    parts = (
        event.app,
        event.corp_id,
        event.change,
        event.user_id,
        event.external_user_id,
        str(event.created_at),
        last,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
