"""What crosses the queue: one added contact, and its id. Pure.

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
        parts = (
            self.app,
            self.corp_id,
            self.change,
            self.user_id,
            self.external_user_id,
            str(self.created_at),
            self.welcome_code,
        )
        object.__setattr__(self, "id", hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32])
