"""聊天敏感词: words that members must not send to customers. Doc 95097."""

from collections.abc import Mapping, Sequence
from typing import Any

from .calls import GET, POST, Fields, Resource
from .limits import an_object, at_least_one, characters, entries, one_of


class InterceptRules(Resource):
    """Calls below externalcontact/ about blocked words."""

    @POST("externalcontact/add_intercept_rule")
    def add_intercept_rule(
        self,
        rule_name: str,
        word_list: Sequence[str],
        intercept_type: int,
        applicable_range: Mapping[str, Any],
        semantics_list: Sequence[int] | None = None,
    ) -> Fields:
        """Create a rule; a corp has at most 100. Doc 95097.

        rule_name: 1 to 20 characters. word_list: at most 300 words of 1 to 32 characters. intercept_type: 1 warns and
        blocks the message, 2 only warns. applicable_range: {"user_list": at most 1000 members, "department_list": at
        most 1000}, not both empty. semantics_list: kinds of content to match too: 1 phone numbers, 2 e-mail addresses,
        3 red packets.
        → {"rule_id": id}
        """
        _rule(rule_name, word_list, intercept_type, semantics_list)
        _range("applicable_range", applicable_range)
        at_least_one(
            **{f"applicable_range.{name}": applicable_range.get(name) for name in ("user_list", "department_list")}
        )
        return {
            "rule_name": rule_name,
            "word_list": word_list,
            "semantics_list": semantics_list,
            "intercept_type": intercept_type,
            "applicable_range": applicable_range,
        }

    @GET("externalcontact/get_intercept_rule_list")
    def get_intercept_rule_list(self) -> Fields:
        """All rules. Doc 95097.

        → {"rule_list": [{rule_id, rule_name, create_time}]}
        """
        return {}

    @POST("externalcontact/get_intercept_rule")
    def get_intercept_rule(self, rule_id: str) -> Fields:
        """A rule. Doc 95097.

        rule_id: its id.
        → {"rule": {rule_id, rule_name, word_list, "extra_rule": {"semantics_list"}, intercept_type, applicable_range}}
        """
        return {"rule_id": rule_id}

    @POST("externalcontact/update_intercept_rule")
    def update_intercept_rule(
        self,
        rule_id: str,
        rule_name: str | None = None,
        word_list: Sequence[str] | None = None,
        extra_rule: Mapping[str, Any] | None = None,
        intercept_type: int | None = None,
        add_applicable_range: Mapping[str, Any] | None = None,
        remove_applicable_range: Mapping[str, Any] | None = None,
    ) -> Fields:
        """Update a rule that this app created; what is None stays as it is. Doc 95097.

        rule_id: its id. rule_name, word_list, intercept_type: as for add_intercept_rule. extra_rule: {"semantics_list":
        []}, which replaces the previous one. add_applicable_range, remove_applicable_range: each at most 1000 members
        and 1000 departments.
        → {} with errcode 0.
        """
        _rule(rule_name, word_list, intercept_type, (extra_rule or {}).get("semantics_list"))
        _range("add_applicable_range", add_applicable_range)
        _range("remove_applicable_range", remove_applicable_range)
        return {
            "rule_id": rule_id,
            "rule_name": rule_name,
            "word_list": word_list,
            "extra_rule": extra_rule,
            "intercept_type": intercept_type,
            "add_applicable_range": add_applicable_range,
            "remove_applicable_range": remove_applicable_range,
        }

    @POST("externalcontact/del_intercept_rule")
    def del_intercept_rule(self, rule_id: str) -> Fields:
        """Delete a rule that this app created. Doc 95097.

        rule_id: its id.
        → {} with errcode 0.
        """
        return {"rule_id": rule_id}


def _rule(name: str | None, words: Sequence[str] | None, kind: int | None, semantics: Sequence[int] | None) -> None:
    characters("rule_name", name, 20, least=1)
    entries("word_list", words, 300)
    for number, word in enumerate(words or ()):
        characters(f"word_list[{number}]", word, 32, least=1)
    one_of("intercept_type", kind, 1, 2)
    entries("semantics_list", semantics)
    for number, each in enumerate(semantics or ()):
        one_of(f"semantics_list[{number}]", each, 1, 2, 3)


def _range(name: str, given: Mapping[str, Any] | None) -> None:
    if given is not None:
        for kind in ("user_list", "department_list"):
            entries(f"{name}.{kind}", an_object(name, given).get(kind), 1000)
