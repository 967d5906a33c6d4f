"""What becomes of a contact after the add, in words. Pure."""

from tasks.events import BY_TRANSFER, EDITED, LEFT, NOT_TRANSFERRED, REMOVED
from tasks.ledger.delivery import ContactChange
from tasks.messages import Message

_TEXTS = {
    (LEFT, ""): Message("The customer deleted the member"),
    (REMOVED, ""): Message("The member deleted the customer"),
    (REMOVED, BY_TRANSFER): Message("Handed over to a colleague"),
    (EDITED, ""): Message("The member edited the customer's details"),
    (NOT_TRANSFERRED, ""): Message("The hand-over to this member failed"),
    (NOT_TRANSFERRED, "customer_refused"): Message("The hand-over to this member failed: the customer refused"),
    (NOT_TRANSFERRED, "customer_limit_exceed"): Message(
        "The hand-over to this member failed: the member has as many customers as WeCom allows"
    ),
}


def describe(change: ContactChange) -> Message:
    """A change. One that this release does not know: WeCom's name of it."""
    found = _TEXTS.get((change.change, change.detail)) or _TEXTS.get((change.change, ""))
    return found or Message("%(change)s", {"change": change.change})
