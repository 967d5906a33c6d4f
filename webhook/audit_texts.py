"""The acts of the audit trail in words: English here, Chinese in the console's catalogue. Pure."""

from collections.abc import Mapping

from tasks.audit import Act, Entry
from tasks.ledger.pauses import WELCOME
from tasks.messages import Message

_TEXTS: Mapping[Act, Message] = {  # with the entry's target and number
    Act.SIGNED_IN: Message("Signed in"),
    Act.SIGNED_OUT: Message("Signed out"),
    Act.PUBLISHED: Message("Published revision %(number)s"),
    Act.ROLLED_BACK: Message("Rolled back to revision %(target)s, as revision %(number)s"),
    Act.DRAFT_REPLACED: Message("Replaced the draft by the file %(target)s"),
    Act.DRAFT_DISCARDED: Message("Discarded the draft"),
    Act.LABELLED: Message("Put the label %(target)s on %(number)s welcomes"),
    Act.UNLABELLED: Message("Took the label %(target)s off %(number)s welcomes"),
    Act.GROUPS_SYNCED: Message("Synced %(number)s group welcomes to WeCom"),
    Act.CHANNEL_CREATED: Message("Created the channel %(target)s"),
    Act.CHANNEL_CHANGED: Message("Changed the channel %(target)s"),
    Act.CHANNEL_DELETED: Message("Deleted the channel %(target)s"),
    Act.CHANNEL_DROPPED: Message("Removed the channel %(target)s here; WeCom keeps it"),
    Act.MEDIA_ADDED: Message("Added %(target)s to the media library"),
    Act.MEDIA_DELETED: Message("Deleted %(target)s from the media library"),
    Act.PAUSED: Message("Paused the lane of follow-up tasks"),
    Act.RESUMED: Message("Resumed the lane of follow-up tasks"),
    Act.FOLLOW_UPS_RETRIED: Message("Retried %(number)s follow-ups"),
    Act.REMINDED: Message("Reminded %(number)s members"),
    Act.REMINDERS_ON: Message("Switched automatic reminders on"),
    Act.REMINDERS_OFF: Message("Switched automatic reminders off"),
    Act.TAGGED: Message("Put the tags %(target)s on %(number)s customers"),
    Act.TICKED_OFF: Message("Marked %(number)s customers as followed up"),
    Act.TICKED_BACK: Message("Put %(number)s customers back to do"),
    Act.COMPARED: Message("Started a comparison with WeCom"),
    Act.TRANSFER_ASKED: Message("Asked WeCom about the hand-over %(target)s"),
    Act.EXPORTED: Message("Exported %(target)s"),
    Act.BACKED_UP: Message("Made the backup %(target)s"),
    Act.RESTORED: Message("Restored the backup %(target)s"),
    Act.FORGOT: Message("Erased a customer: %(number)s rows"),
    Act.CALLED_API: Message("Called %(target)s of WeCom's API"),
    Act.TESTED_ALERT: Message("Sent a test alert"),
    Act.FORWARD_RETRIED: Message("Retried the forwarded event %(target)s"),
    Act.FORWARDED_AGAIN: Message("Forwarded %(number)s events once more"),
    Act.TRIED_WELCOME: Message("Sent a test of the welcome %(target)s"),
    Act.ROLE_GIVEN: Message("Gave a role: %(target)s"),
    Act.ROLE_TAKEN: Message("Took a role away: %(target)s"),
    Act.SESSION_ENDED: Message("Ended the session of %(target)s"),
    Act.TOKEN_MADE: Message("Made the API token %(target)s"),
    Act.TOKEN_REVOKED: Message("Revoked the API token %(target)s"),
    Act.LOOKED: Message("Looked at the customer of the delivery %(target)s"),
    Act.SECOND_PERSON_ON: Message("Switched publishing by a second person on"),
    Act.SECOND_PERSON_OFF: Message("Switched publishing by a second person off"),
    Act.APPROVAL_ASKED: Message("Asked for an approval of the draft"),
    Act.APPROVED: Message("Approved the draft of %(target)s, and published revision %(number)s"),
    Act.DECLINED: Message("Declined the draft of %(target)s"),
    Act.LOOKED_AT_MANY: Message("Looked at more than %(number)s customers in an hour"),
}
_OF_ONE: Mapping[Act, Message] = {  # for a number of 1
    Act.LABELLED: Message("Put the label %(target)s on 1 welcome"),
    Act.UNLABELLED: Message("Took the label %(target)s off 1 welcome"),
    Act.GROUPS_SYNCED: Message("Synced 1 group welcome to WeCom"),
    Act.FOLLOW_UPS_RETRIED: Message("Retried 1 follow-up"),
    Act.REMINDED: Message("Reminded 1 member"),
    Act.TAGGED: Message("Put the tags %(target)s on 1 customer"),
    Act.TICKED_OFF: Message("Marked 1 customer as followed up"),
    Act.TICKED_BACK: Message("Put 1 customer back to do"),
    Act.FORGOT: Message("Erased a customer: 1 row"),
    Act.FORWARDED_AGAIN: Message("Forwarded 1 event once more"),
}
_WELCOME_LANE = {Act.PAUSED: Message("Paused the welcome lane"), Act.RESUMED: Message("Resumed the welcome lane")}
_IMPORTED = Message("Published revision %(number)s from %(target)s")
_PRINTED = Message("Exported revision %(number)s")


def describe(entry: Entry) -> Message:
    """What was done. An act that this release does not know: its name."""
    try:
        act = Act(entry.act)
    except ValueError:
        return Message("%(act)s %(target)s", {"act": entry.act, "target": entry.target})
    text = _OF_ONE.get(act, _TEXTS[act]) if entry.number == 1 else _TEXTS[act]
    if entry.target == WELCOME and act in _WELCOME_LANE:
        text = _WELCOME_LANE[act]
    elif act is Act.PUBLISHED and entry.target:
        text = _IMPORTED
    elif act is Act.EXPORTED and not entry.target:
        text = _PRINTED
    number = "?" if entry.number is None else entry.number
    return Message(text.msgid, {"target": entry.target, "number": number} if "%(" in text.msgid else {})
