"""The welcome book as values. "Template" always means a message to a customer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """A welcome: what the customer is sent."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Who gets what. `name` "" unless the author gave one."""

    use: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """Every template and, in order, every rule of one app. The first rule that matches wins."""

    templates: Mapping[str, Template]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The template that an event gets, and why."""

    template: Template
    rule: str
    variant: str = ""
