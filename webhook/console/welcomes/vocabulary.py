"""The words that the templates of several blueprints say about rules and changes."""

from typing import Any

from webhook.console.welcomes import differences, rule_words


def vocabulary() -> dict[str, Any]:
    """A context processor."""
    return {"words": rule_words, "field_words": differences.FIELDS}
