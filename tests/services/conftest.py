"""What tests with real servers share."""

from collections.abc import Iterator

import pytest

from .label_studio import PROGRAM, LabelStudio


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """The one Label Studio server of the test process, as an admin has set it up: see `LabelStudio`.

    It is shared, so a test makes projects of its own, and one that kills the server starts it again.
    """
    if not PROGRAM.exists():
        pytest.skip("Label Studio's server is not here: `make label-studio` installs it into .venv-label-studio")
    running = LabelStudio(tmp_path_factory.mktemp("label-studio"))
    try:
        yield running
    finally:
        running.close()
