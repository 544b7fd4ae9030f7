"""The fixture `platform`: started when the first test asks for it, stopped after the last one that does."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from local_stack.errors import StackError
from local_stack.servers import RunningServers

from tests.harness.platform import PROJECT, Platform, platform_on


class House:
    """Where the platform of this test run lives. It may be opened again after it was closed."""

    def __init__(self, servers: RunningServers) -> None:
        self._servers = servers
        self._stack = ExitStack()
        self._platform: Platform | None = None
        self._trouble: StackError | None = None

    def open(self) -> Platform:
        """The platform with all its services running; what a failed test left down is started again."""
        if self._trouble is not None:
            # It takes long to find out, and one test that waited for it is enough.
            raise self._trouble
        try:
            if self._platform is None:
                self._platform = self._stack.enter_context(platform_on(self._servers))
            self._platform.start(*self._platform.down)
        except StackError as error:
            self._trouble = error
            raise
        return self._platform

    def close(self) -> None:
        """Stop it. Safe to repeat."""
        self._platform = None
        self._stack.close()


FEATURES = PROJECT / "tests" / "features"
HOUSE = pytest.StashKey[House]()


@pytest.fixture(scope="session")
def platform_house(servers: RunningServers, request: pytest.FixtureRequest) -> Iterator[House]:
    """Needed by `platform` only."""
    house = request.session.stash[HOUSE] = House(servers)
    yield house
    house.close()


@pytest.fixture
def platform(platform_house: House) -> Platform:
    """The four services as processes on real servers, shared by all tests that ask for them."""
    return platform_house.open()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the platform when the next test does without: other tests measure times, and four services take theirs."""
    house = item.session.stash.get(HOUSE, None)
    if house is not None and not (nextitem is not None and _may_ask_for_platform(nextitem)):
        house.close()


def _may_ask_for_platform(item: pytest.Item) -> bool:
    # A scenario asks for fixtures only once it runs, so for those the folder has to tell.
    return "platform" in getattr(item, "fixturenames", ()) or FEATURES in item.path.parents
