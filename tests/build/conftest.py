"""Fixtures of the build tests, and the figures that they show at the end."""

from pathlib import Path

import pytest

from project import must

FIGURES = pytest.StashKey()


@pytest.fixture(scope="session")
def tarball():
    """SeaBIOS's source as make takes it by default."""
    return Path(must("scripts/fetch-source", "seabios").splitlines()[-1])


@pytest.fixture
def figure(request):
    """A function that adds a line to the figures shown at the end."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)
