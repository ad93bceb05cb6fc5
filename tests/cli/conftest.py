from pathlib import Path

import pytest

from tests.cli.runner import Program, program_at


@pytest.fixture
def program(home: Path) -> Program:
    return program_at(home)
