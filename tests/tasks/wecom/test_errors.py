"""An error goes to another process and comes back whole: each class that the package has."""

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import tasks.wecom
from tasks.wecom import Failure, HTTPRefused, InvalidRequest, NoAnswer, NotSent, Unanswered, WeComAPIError, WeComError
from tasks.wecom.errors import FAILURES
from tasks.wecom.limits import LimitExceeded
from tasks.wecom.transport import _ProxyError

ARGUMENTS: dict[type[Exception], tuple[Any, ...]] = {  # of a class, and of those below it
    WeComAPIError: (60020, "not allow, hint: [17], from ip: 203.0.113.9", "user/get"),
    InvalidRequest: ("externalcontact/remark", "remark", "21 characters", "at most 20"),
    Unanswered: ("user/get", Failure.HTTP_STATUS, "502"),
    WeComError: ("user/get", "whatever"),
    LimitExceeded: ("remark", "21 characters", "at most 20"),
    _ProxyError: (Failure.PROXY_REFUSED, "407"),
    Exception: ("whatever",),
}


def is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


def errors_of_the_package() -> list[type[Exception]]:
    """Every exception that is defined in it: those of users, and its own."""
    names = [module.name for module in pkgutil.iter_modules(tasks.wecom.__path__)]
    modules = [importlib.import_module(f"tasks.wecom.{name}") for name in names]
    found = {value for module in modules for value in vars(module).values() if is_error(value)}
    return sorted((kind for kind in found if kind.__module__.startswith("tasks.wecom")), key=lambda kind: kind.__name__)


def an_error(kind: type[Exception]) -> Exception:
    home = next(base for base in kind.__mro__ if base in ARGUMENTS)
    error = kind(*ARGUMENTS[home])
    error.add_note("a note")
    return error


def whole(error: BaseException) -> tuple[object, ...]:
    """All that a caller can see of an error."""
    return type(error), str(error), repr(error), error.args, vars(error)


def raise_one(error: Exception) -> None:
    raise error


def test_the_classes_are_found() -> None:
    named = {value for name in tasks.wecom.__all__ if is_error(value := getattr(tasks.wecom, name))}
    assert len(named) > 13
    assert named | {LimitExceeded} < set(errors_of_the_package())


@pytest.mark.parametrize("kind", errors_of_the_package(), ids=lambda kind: kind.__name__)
def test_an_error_comes_back_whole(kind: type[Exception]) -> None:
    error = an_error(kind)
    pickled = (pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))
    for again in [*pickled, copy.copy(error), copy.deepcopy(error)]:
        assert whole(again) == whole(error)


def test_every_error_that_a_call_raises_comes_back_whole_from_a_pool_of_processes() -> None:
    errors = [an_error(kind) for kind in errors_of_the_package() if issubclass(kind, WeComError)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        came = [pool.submit(raise_one, error).exception(60) for error in errors]
        assert pool.submit(abs, -1).result(60) == 1, "the pool has survived them"
    assert [whole(error) for error in came if error] == [whole(error) for error in errors]


@pytest.mark.parametrize("failure", Failure)
def test_only_an_http_status_is_a_status(failure: Failure) -> None:
    assert "{detail}" not in FAILURES[failure] or failure in (Failure.HTTP_STATUS, Failure.PROXY_REFUSED)
    for kind in (NotSent, HTTPRefused, NoAnswer):
        error = kind("user/get", failure, "502" if "{detail}" in FAILURES[failure] else "")
        assert error.status == (502 if "{detail}" in FAILURES[failure] else None)
