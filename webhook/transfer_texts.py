"""What WeCom does not tell of a hand-over, in words: why, and what to do. Pure."""

from tasks.messages import Message
from tasks.missed.transfer_pair import TransferPair
from tasks.wecom.errors import CODES
from webhook.errcode_texts import AUTHOR, cure_of, told, what_to_do, who


def not_told(pair: TransferPair) -> tuple[Message, ...]:
    """Why a pair could not be read, and what to do about it where that is known; () if it was read."""
    if pair.failed is None:
        return ()
    code = pair.failed.errcode
    if code is None or code not in CODES:
        return (told(pair.failed),)
    if who(code) == AUTHOR:  # of a welcome, which this is not
        return told(pair.failed), Message("What to do: %(cure)s.", {"cure": cure_of(code)})
    return told(pair.failed), what_to_do(code, pair.failed)
