"""The message that a customer is to get, as it changes from try to try: what is sent, and what was left out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.ledger.delivery import LeftOut, LeftOutBecause
from tasks.reasons import Reason
from tasks.templates.model import MSGTYPES, Media, Template, source
from tasks.templates.render import Ready, attached, message


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A template with the values of its placeholders, and what can be sent now of its media.

    refused: number of an attachment, from 1, → why WeCom did not take a message with it.
    """

    template: Template
    values: Mapping[str, str]
    ready: Ready
    refused: Mapping[int, Reason] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """What `send_welcome_msg` takes, but for the code. Doc 92137."""
        kept = tuple(one for number, one in enumerate(self.template.attachments, 1) if number not in self.refused)
        return message(replace(self.template, attachments=kept), self.values, self.ready)

    @property
    def attachments(self) -> dict[int, dict[str, Any]]:
        """Number → attachment as WeCom takes it, of those that are sent."""
        made = {number: attached(one, self.ready) for number, one in enumerate(self.template.attachments, 1)}
        return {number: one for number, one in made.items() if one is not None and number not in self.refused}

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The attachments that are not sent, and why."""
        numbers = range(1, len(self.template.attachments) + 1)
        return tuple(self._left_out(number) for number in numbers if number not in self.attachments)

    def renewed(self, ready: Ready, why: Reason) -> "OutgoingMessage":
        """With what of its media can be sent now; what could be and cannot any more was refused."""
        new = replace(self, ready=ready)
        gone = self.attachments.keys() - new.attachments.keys()
        return replace(new, refused={**self.refused, **dict.fromkeys(gone, why)})

    def without(self, msgtypes: frozenset[str], keep_urls: bool, why: Reason) -> "OutgoingMessage":
        """Without its attachments of these types, or without any if it has none of them.

        keep_urls: those that are shown by a permanent URL stay.
        """
        sent = self.attachments
        dropped = [number for number, one in sent.items() if _is_suspect(one, msgtypes, keep_urls)]
        return replace(self, refused={**self.refused, **dict.fromkeys(dropped or sent, why)})

    def _left_out(self, number: int) -> LeftOut:
        attachment = self.template.attachments[number - 1]
        media = source(attachment)
        why = self.refused.get(number)
        return LeftOut(
            number=number,
            because=LeftOutBecause.REFUSED if why else LeftOutBecause.NOT_UPLOADED,
            msgtype=MSGTYPES[type(attachment)],
            file=media.path if isinstance(media, Media) else "",
            reason=why,
        )


def _is_suspect(attachment: Mapping[str, Any], msgtypes: frozenset[str], keep_urls: bool) -> bool:
    msgtype = attachment["msgtype"]
    shown = attachment[msgtype]
    return msgtype in msgtypes and (not keep_urls or "media_id" in shown or "pic_media_id" in shown)
