"""A run of the small fit that nothing disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faults import command, write_fit


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the small fit."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_fit(folder)
    process = command("fit", "fits/a.toml", folder=folder)
    text, _ = process.communicate()
    assert (folder / "runs" / "a" / "posterior.nc").exists(), text
    return folder / "runs" / "a"
