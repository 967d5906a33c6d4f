"""What several files of these tests use."""

from collections.abc import Iterator

import pytest

from tasks.templates import yaml_composer


@pytest.fixture(scope="module", params=["libyaml", "python"])
def yaml_parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Books are read by each of the two parsers."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(yaml_composer, "CParser", None)
        elif yaml_composer.CParser is None:
            pytest.skip("PyYAML was built without libyaml")
        yield
