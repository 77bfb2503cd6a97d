"""The layers hold, and a forbidden import is noticed."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOMAINS = ("stores", "membership", "loyalty", "segmentation", "campaigns", "api")
LINT = Path(sys.executable).with_name("lint-imports")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": "."}, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source tree, to be spoilt."""
    for domain in DOMAINS:
        shutil.copytree(ROOT / domain, tmp_path / domain, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("stores/money.py", "import loyalty.lots"),
        ("membership/cards.py", "from campaigns import planning"),
        ("loyalty/lots.py", "import litestar"),
        ("campaigns/report.py", "import pandas"),
    ],
)
def test_a_forbidden_import_is_noticed(copy: Path, module: str, line: str) -> None:
    assert _lint(copy).returncode == 0
    spoilt = copy / module
    spoilt.write_text(spoilt.read_text() + f"\n{line}\n")
    assert _lint(copy).returncode == 1


@pytest.mark.parametrize("name", ["settings.py", "errors.py", "database.py", "embedded.py"])
def test_the_foundation_knows_no_domain(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text())
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {module for module in imported if module.partition(".")[0] in DOMAINS}


def test_routes_hold_no_sql() -> None:
    for path in (ROOT / "api" / "routes").glob("*.py"):
        if path.name == "health.py":  # SELECT true is the question itself
            continue
        assert "import database" not in path.read_text(), path
