"""Fixtures of the build tests, and the figures that they show at the end."""

import functools
from pathlib import Path

import pytest

from project import must


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: not in check-build, but in check-series")


@pytest.fixture(scope="session")
def tarball():
    """SeaBIOS's source as make takes it by default."""
    return Path(must("scripts/fetch-source", "seabios").splitlines()[-1])


@pytest.fixture
def figure(record_property):
    """A function that adds a line to the figures shown at the end."""
    return functools.partial(record_property, "figure")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for _, line in report.user_properties:
            terminalreporter.write_line(line)
