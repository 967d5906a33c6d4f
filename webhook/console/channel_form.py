"""The form of a channel, and why a channel was not made or changed, in words."""

from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from tasks.channels import NAME_LIMIT, STATE_LIMIT, Channel, ChannelError, OfOneMember, StateTaken
from tasks.messages import Message
from tasks.visible_text import plain
from tasks.wecom import WeComAPIError, WeComError
from tasks.wecom.errors import HTTPRefused, NoAnswer, NotSent
from webhook.console.channel_welcome import WelcomeFields, check_template, check_text
from webhook.errcode_texts import errcode

MEMBERS_LIMIT = 100  # of one code, doc 92572
OF_CONTACT_WAYS = range(41037, 41046)  # the numbers that doc 90313 has for these calls


def _stripped(text: str | None) -> str:
    """The text without blanks at its ends and without control characters: WeCom gets what is visible."""
    return plain(text or "")


def _words(text: str) -> list[str]:
    """The words between spaces, commas and line ends, each once."""
    for separator in ",，;；、\n\r\t":
        text = text.replace(separator, " ")
    return list(dict.fromkeys(text.split()))


class ChannelForm(FlaskForm):
    """A channel as typed. Of members and departments some are ticked (`chosen`, `inside`), others typed (`further`,
    `departments`). `was`: the digest of the channel that is edited.
    """

    name = StringField(
        filters=[_stripped],
        validators=[
            DataRequired(lazy_gettext("Enter a name")),
            Length(max=NAME_LIMIT, message=lazy_gettext("The name has more than 30 characters")),
        ],
    )
    state = StringField(
        filters=[_stripped],
        validators=[
            DataRequired(lazy_gettext("Enter a State")),
            Length(max=STATE_LIMIT, message=lazy_gettext("The State has more than 30 characters")),
        ],
    )
    chosen = SelectMultipleField(validate_choice=False)
    further = StringField(filters=[_stripped])
    inside = SelectMultipleField(validate_choice=False)
    departments = StringField(filters=[_stripped])
    skip_verify = BooleanField()
    was = HiddenField()

    of_one = False  # a code that was made for one member keeps one

    def members(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(self.chosen.data or ()), *_words(self.further.data or "")]))

    def department_ids(self) -> tuple[int, ...]:
        return tuple(int(word) for word in self._departments())

    def _departments(self) -> list[str]:
        return list(dict.fromkeys([*(self.inside.data or ()), *_words(self.departments.data or "")]))

    def validate_departments(self, field: Field) -> None:
        if not all(word.isascii() and word.isdigit() and 0 < int(word) < 2**31 for word in self._departments()):
            raise ValidationError(_("Departments are numbers, as WeCom's 通讯录 has them"))

    def validate_further(self, field: Field) -> None:
        members, departments = self.members(), self._departments()
        if not members and not departments:
            raise ValidationError(_("Choose at least one member, or a department"))
        if len(members) > MEMBERS_LIMIT:
            raise ValidationError(_("A code leads to at most 100 members; choose a department instead"))
        if self.of_one and (len(members) != 1 or departments):
            raise ValidationError(_("This code was made for one member, and WeCom keeps it so; create another channel"))

    def fill(self, channel: Channel) -> None:
        """Show a channel."""
        self.name.data, self.state.data, self.was.data = channel.name, channel.state, channel.digest
        self.chosen.data = list(channel.members)
        self.inside.data = [str(one) for one in channel.departments]
        self.skip_verify.data = channel.skip_verify


class NewChannelForm(WelcomeFields, ChannelForm):
    """A channel that is to be created, and what its customers get."""

    def validate_template(self, field: StringField) -> None:
        check_template(self, field)

    def validate_text(self, field: StringField) -> None:
        check_text(self, field)


# ------------------------------------------------------------------------------------------------ refusals


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not done, and what to do."""

    why: Message
    cure: Message


def refusal(error: WeComError | ChannelError) -> Refusal:
    """An error in words."""
    if isinstance(error, StateTaken):
        return Refusal(Message.of("there is another channel of this name"), Message.of("choose another name"))
    if isinstance(error, OfOneMember):
        why = Message.of("this code was made for one member, and WeCom keeps it so")
        return Refusal(why, Message.of("create another channel"))
    if isinstance(error, NoAnswer):
        why = Message.of("WeCom did not answer in time; it may have been done")
        return Refusal(why, Message.of("compare with WeCom before you try again"))
    if isinstance(error, NotSent | HTTPRefused):
        return Refusal(
            Message.of("WeCom could not be reached, and nothing was changed"), Message.of("try again in a minute")
        )
    if not isinstance(error, WeComAPIError):
        return Refusal(Message("%(error)s", {"error": error}), Message.of("see the log"))
    meaning, cure = errcode(error.errcode, error.errmsg)
    values = {"meaning": meaning, "code": error.errcode, "errmsg": error.errmsg}
    if error.errcode == 41040:  # which the account's rights cause too, and the scene here is always the same
        cure = Message.of("look at the app's rights in 客户联系")
    if error.errcode in OF_CONTACT_WAYS:
        return Refusal(Message.of("%(meaning)s (%(code)s; WeCom's own words: %(errmsg)s)", **values), cure)
    return Refusal(Message("%(meaning)s (%(code)s)", values), cure)
