"""Prints the product's decisions as JSON; with `--reworded`, after changing every user-visible text on import.

python -m tests.support.reworded [--reworded]
"""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any

MARKERS = {"Message", "of", "_", "gettext", "lazy_gettext", "ngettext", "Code"}  # calls whose texts are for people
TABLES = {"FAILURES"}  # and tables of such texts
MARKED = re.compile(rf"\b(?:{'|'.join(MARKERS)})\(|\b(?:{'|'.join(TABLES)})\b".encode())  # to change few files of many


class Reworded(ast.NodeTransformer):
    """Changes texts, but keeps their placeholders."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in MARKERS:
            node.args = [_changed(one) for one in node.args]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if isinstance(node.target, ast.Name) and node.target.id in TABLES and isinstance(node.value, ast.Dict):
            node.value.values = [_changed(one) for one in node.value.values]
        return self.generic_visit(node)


def _changed(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
        return ast.copy_location(ast.Constant(f"other words: {node.value}"), node)
    return node


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        source = self.get_data(self.path)
        if MARKED.search(source) is None:
            return super().get_code(fullname)
        return compile(Reworded().visit(ast.parse(source, self.path)), self.path, "exec")


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("tasks", "webhook"):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            loader: Loader = _Loader(fullname, spec.origin)
            spec.loader = loader
        return spec


def decisions() -> Iterator[tuple[str, Any]]:
    """(case, decision) for errors, follow-ups, callbacks, outcomes and rows of the previous release."""
    from tasks.wecom import errors

    raised: list[errors.WeComError] = [errors.from_answer(code, "errmsg", "send") for code in (*errors.CODES, 987654)]
    for failure in errors.Failure:
        raised += [errors.NotSent("send", failure, "502"), errors.NoAnswer("send", failure, "502")]
    raised.append(errors.InvalidRequest("send", "text", "4003 bytes", "at most 4000"))
    for error in raised:
        yield from _of_an_error(error)
    yield from _of_callbacks()
    yield from _of_earlier_rows()


def _of_an_error(error: Any) -> Iterator[tuple[str, Any]]:
    from dataclasses import replace

    from tasks.followups.handler import after_failure
    from tasks.followups.store import FollowUpTask
    from tasks.greeting import policy
    from tasks.reasons import Reason
    from tests.support.builders import a_contact

    name = f"{type(error).__name__} {getattr(error, 'errcode', getattr(error, 'failure', ''))}"
    for in_doubt in (False, True):
        for left in (15.0, 0.4):
            state = policy.TryState(2, in_doubt, left, has_attachments=True)
            step = policy.next_step(error, state, 0.5)
            if isinstance(step, policy.Finish):
                yield f"greeting: {name}, {state}", [step.outcome, step.errcode, step.media_died, str(step.reason)]
            else:
                yield f"greeting: {name}, {state}", [step.wait, step.media_died, sorted(step.drop), step.keep_urls]
    task = FollowUpTask(a_contact(change="half_add"), "0" * 32, 1, 1, 0, "t", 1, (), None)
    for attempts in (1, 99):
        progress = after_failure(error, replace(task, attempts=attempts), 0.5)
        yield f"follow-up: {name}, {attempts}", [progress.status, progress.delay, str(progress.reason)]
    yield from _of_outcomes(name, Reason.from_error(error))


def _of_outcomes(name: str, reason: Any) -> Iterator[tuple[str, Any]]:
    from tasks.ledger.delivery import MISSED, Attempt, Outcome
    from tasks.missed.work_list import cause_of
    from tests.support.builders import a_delivery
    from webhook.console.missed import cure_of
    from webhook.outcomes import note, outcome_text

    for outcome in Outcome:
        row = a_delivery(outcome, reason=reason, errcode=reason.errcode, tries=(Attempt(reason), Attempt()), attempts=2)
        text = outcome_text(row, 20.0)
        yield f"page: {name}, {outcome}", [text.tone, len(text.more), note(row) is not None]
        if outcome in MISSED:
            cause = cause_of(row)
            yield f"cause: {name}, {outcome}", [cause.outcome, cause.errcode, cause.used_up_by, len(cure_of(cause))]


def _of_callbacks() -> Iterator[tuple[str, Any]]:
    from tasks.reasons import Kind, Reason
    from webhook.callback.diagnosis import is_proven

    for kind in Kind:
        yield f"callback: {kind}", is_proven(Reason.of(kind))


def _of_earlier_rows() -> Iterator[tuple[str, Any]]:
    from tasks.ledger import earlier

    for words in (
        *("invalid", "unlicensed", "time", "no answer in time", "HTTP 502", "40058 picurl exceed", "some other words"),
        "it was unfinished when the backup was made",
        "the query has no nonce: not from WeCom, or a proxy drops the query string",
        "Token and EncodingAESKey are right, the corp id is not: WeCom writes to ww1",
        "neither Token nor EncodingAESKey fits: another app's callback, or not from WeCom",
    ):
        yield f"earlier: {words}", str(earlier.reason(words))


def words() -> list[str]:
    """Every reason's text, to show that they did change."""
    from tasks.wecom.errors import CODES
    from webhook import reason_texts

    tables: list[Callable[[], Any]] = [reason_texts._TEXTS.values, reason_texts.FAILURE_TEXTS.values]
    return [*(one.msgid for table in tables for one in table()), *(code.meaning for code in CODES.values())]


if __name__ == "__main__":
    if "--reworded" in sys.argv:
        sys.meta_path.insert(0, _Finder())
    print(json.dumps({"decisions": list(decisions()), "words": words()}))
