"""Parses the rules of a book's YAML → Rule: who gets which template. Pure."""

from collections.abc import Callable, Iterator, Mapping

import yaml

from tasks.events import CHANGES
from tasks.messages import Message
from tasks.templates import scalars, texts
from tasks.templates.conditions import CUSTOMER_TYPES
from tasks.templates.model import ALWAYS, Rule, Template, Variant, When
from tasks.templates.problems import did_you_mean
from tasks.templates.yaml_nodes import Nodes, T, line_of
from tasks.templates.yaml_writer import Value, node_of


def rule_from(value: Value) -> Rule | None:
    """A rule given as a plain value, whatever templates there are; None if it is no rule."""
    root = node_of([value])
    nodes = Nodes(root)
    uses = value.get("use", "") if isinstance(value, dict) else ""
    names = [uses] if isinstance(uses, str) else [str(one) for one in uses]
    templates = {name: Template(name, "") for name in names if name}
    (rule,) = RuleReader(nodes, templates).listed(root)
    return None if nodes.problems else rule


class RuleReader:
    """Reads rules that use these templates; problems are recorded at their nodes."""

    def __init__(self, nodes: Nodes, templates: Mapping[str, Template]) -> None:
        self._nodes = nodes
        self._templates = templates
        self._names: set[str] = set()

    def listed(self, node: yaml.Node) -> Iterator[Rule]:
        """The rules, in order."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._nodes.wrong(node, Message.of("`rules` is a list of at least one rule, such as `- use: default`"))
            return
        for item in node.value:
            parts = self._nodes.parts(item, "rule", Message.of("a rule"))
            name = self._name(parts["name"]) if "name" in parts else ""
            variants: tuple[Variant, ...] = ()
            if "use" in parts:
                variants = tuple(self._variants(parts["use"]))
                if isinstance(parts["use"], yaml.MappingNode) and "name" not in parts:
                    self._nodes.wrong(
                        item, Message.of("a rule with weights needs a name: its results are counted under it")
                    )
            else:
                self._nodes.wrong(item, Message.of("a rule needs `use: TEMPLATE`"))
            yield Rule(variants, name, self._when(parts["when"]) if "when" in parts else ALWAYS, line_of(item))

    def _name(self, node: yaml.Node) -> str:
        name = self._nodes.text(node)
        self._nodes.wrong(node, texts.wrong_in_name(name))
        if name in self._names:
            self._nodes.wrong(node, Message.of("two rules are called %(name)s", name=name))
        self._names.add(name)
        return name

    def _variants(self, node: yaml.Node) -> Iterator[Variant]:
        if isinstance(node, yaml.ScalarNode):
            self._template(node, self._nodes.text(node))
            yield Variant(self._nodes.text(node))
            return
        total = 0
        problems = len(self._nodes.problems)
        for name, weight_node in self._nodes.entries(node, Message.of("`use`")):
            self._template(weight_node, name)
            number = scalars.number(Message.of("a weight"), 0, 1_000_000)
            weight = self._nodes.converted(weight_node, number) or 0
            total += weight
            yield Variant(name, weight)
        if total == 0 and len(self._nodes.problems) == problems:
            self._nodes.wrong(node, Message.of("no template has a weight above 0"))

    def _template(self, node: yaml.Node, name: str) -> None:
        if name not in self._templates:
            self._nodes.wrong(
                node,
                Message.of(
                    "no template is called %(name)s; there are %(known)s%(near)s",
                    name=name,
                    known=", ".join(self._templates) or Message.of("none"),
                    near=did_you_mean(name, self._templates),
                ),
            )

    def _when(self, node: yaml.Node) -> When:
        parts = self._nodes.parts(node, "when", Message.of("`when`"))
        if isinstance(node, yaml.MappingNode) and not node.value:
            self._nodes.wrong(node, Message.of("`when` has no condition; leave it out for a rule that always holds"))

        def values(name: str, convert: Callable[[str], T]) -> tuple[T, ...]:
            return self._values(parts[name], name, convert) if name in parts else ()

        return When(
            member=values("member", scalars.user_id),
            department=values("department", scalars.number(Message.of("a department's id"), 1, 2**32)),
            state=values("state", str),
            hours=values("hours", scalars.hours),
            weekdays=values("weekdays", scalars.weekday),
            dates=values("dates", scalars.dates),
            customer_type=values(
                "customer_type", scalars.one_of(Message.of("customer type"), tuple(CUSTOMER_TYPES.values()))
            ),
            add_way=values("add_way", scalars.number(Message.of("an add way"), 0, 2**31)),
            change=values("change", scalars.one_of(Message.of("change"), tuple(CHANGES.values()))),
        )

    def _values(self, node: yaml.Node, name: str, convert: Callable[[str], T]) -> tuple[T, ...]:
        """The values of one condition."""
        items = self._nodes.items(node)
        if not items:
            self._nodes.wrong(node, Message.of("`%(key)s` is empty; leave it out for any", key=name))
        read = [self._nodes.converted(item, convert) for item in items]
        return tuple(one for one in read if one is not None)
