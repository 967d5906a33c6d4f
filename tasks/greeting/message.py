"""The message to a customer as it changes from try to try: what is sent, and what was left out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.ledger.delivery import LeftOut, LeftOutBecause
from tasks.reasons import Reason
from tasks.templates.model import MSGTYPES, Media, Template, source
from tasks.templates.render import Ready, attached, message


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A template with the values of its placeholders, and those of its media that can be sent now.

    refused: number of an attachment, from 1, → why WeCom refused a message with it.
    """

    template: Template
    values: Mapping[str, str]
    ready: Ready
    refused: Mapping[int, Reason] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """The body of `send_welcome_msg` without the welcome code. Doc 92137."""
        kept = tuple(one for number, one in enumerate(self.template.attachments, 1) if number not in self.refused)
        return message(replace(self.template, attachments=kept), self.values, self.ready)

    @property
    def attachments(self) -> dict[int, dict[str, Any]]:
        """Number → attachment in WeCom's form, for those that are sent."""
        made = {number: attached(one, self.ready) for number, one in enumerate(self.template.attachments, 1)}
        return {number: one for number, one in made.items() if one is not None and number not in self.refused}

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The attachments that are not sent, and why."""
        sent = self.attachments
        numbers = range(1, len(self.template.attachments) + 1)
        return tuple(self._left_out(number) for number in numbers if number not in sent)

    def renewed(self, ready: Ready, why: Reason) -> "OutgoingMessage":
        """The message with the media that can be sent now. Attachments that no longer can were refused, for `why`."""
        new = replace(self, ready=ready)
        gone = self.attachments.keys() - new.attachments.keys()
        return replace(new, refused={**self.refused, **dict.fromkeys(gone, why)})

    def without(self, msgtypes: frozenset[str], keep_urls: bool, why: Reason) -> "OutgoingMessage":
        """The message without its attachments of these types; without all attachments if it has none of these.

        keep_urls: keep those that are shown by a permanent URL.
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
