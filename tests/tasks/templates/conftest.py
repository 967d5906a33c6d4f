"""What several files of these tests use."""

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from tasks.templates import yaml_composer


@pytest.fixture(scope="module", params=["libyaml", "python"])
def yaml_parser(request: pytest.FixtureRequest, leave_out: Callable[[str], NoReturn]) -> Iterator[None]:
    """Books are read by each of the two parsers."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(yaml_composer, "CParser", None)
        elif yaml_composer.CParser is None:
            leave_out("no libyaml in PyYAML")
        yield
