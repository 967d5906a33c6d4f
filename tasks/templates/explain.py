"""Explains a choice: the rule that won, why each earlier one did not, and the rendered greeting. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tasks.messages import Message
from tasks.templates.conditions import Contact, why_not
from tasks.templates.model import DEFAULT, MSGTYPES, Attachment, Book, Link, Media, MediaID, MiniProgram, Rule, source
from tasks.templates.render import remark, welcome_text


@dataclass(frozen=True, slots=True)
class Greeting:
    """A template as one contact would get it. `share`: of its rule's customers that get it, 0 to 1."""

    template: str
    share: float
    text: str
    attachments: tuple[str, ...]
    tags: tuple[str, ...]
    remark: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a contact gets what it gets. `passed_over`: (rule, why it does not apply) for each before the winner.

    `rule`: the winner's label; "" when none applies and the template `default` is used, None when there is none either.
    `greetings` has one entry, or one for each variant.
    """

    rule: str | None
    passed_over: tuple[tuple[str, Message], ...]
    greetings: tuple[Greeting, ...]

    def lines(self) -> Iterator[str]:
        """The explanation as lines of text."""
        for rule, why in self.passed_over:
            yield f"✗ rule {rule}: {why}"
        if self.rule is None:
            yield "✗ no rule applies, and no template is called default: this customer gets nothing"
        elif not self.rule:
            yield f"✓ no rule applies, so the template {DEFAULT} does"
        else:
            yield f"✓ rule {self.rule} applies"
        for greeting in self.greetings:
            share = f" (to {greeting.share:.0%} of its customers)" if len(self.greetings) > 1 else ""
            yield f"→ template {greeting.template}{share}:"
            yield from (f"    {line}" for line in greeting.text.splitlines())
            yield from (f"    + {attachment}" for attachment in greeting.attachments)
            yield from (f"    then tag {tag}" for tag in greeting.tags)
            if greeting.remark:
                yield f"    then remark {greeting.remark}"


def explain(book: Book, contact: Contact, values: Mapping[str, str]) -> Explanation:
    """What `select` decides for a contact, and why. `values`: placeholder → value, see tasks.templates.render."""
    passed_over: list[tuple[str, Message]] = []
    for number, rule in enumerate(book.rules, 1):
        why = why_not(rule.when, contact)
        if why is None:
            return Explanation(rule.label(number), tuple(passed_over), tuple(_greetings(book, rule, values)))
        passed_over.append((rule.label(number), why))
    if DEFAULT in book.templates:
        return Explanation("", tuple(passed_over), (_greeting(book, DEFAULT, 1.0, values),))
    return Explanation(None, tuple(passed_over), ())


def _greetings(book: Book, rule: Rule, values: Mapping[str, str]) -> Iterator[Greeting]:
    total = sum(variant.weight for variant in rule.variants)
    for variant in rule.variants:
        if variant.weight:
            yield _greeting(book, variant.template, variant.weight / total, values)


def _greeting(book: Book, name: str, share: float, values: Mapping[str, str]) -> Greeting:
    template = book.templates[name]
    return Greeting(
        template=name,
        share=share,
        text=welcome_text(template, values),
        attachments=tuple(described(attachment) for attachment in template.attachments),
        tags=tuple(f"{tag.group}/{tag.name}" for tag in template.then.tags),
        remark=remark(template, values),
    )


def described(attachment: Attachment) -> str:
    """An attachment in a few words."""
    msgtype = MSGTYPES[type(attachment)]
    if isinstance(attachment, Link):
        return f"{msgtype} {attachment.title} {attachment.url}"
    given = source(attachment)
    if isinstance(given, Media):
        shown = given.path
    else:
        shown = f"media id {given.media_id}" if isinstance(given, MediaID) else f"{given.url}" if given else ""
    return f"{msgtype} {attachment.title} ({shown})" if isinstance(attachment, MiniProgram) else f"{msgtype} {shown}"
