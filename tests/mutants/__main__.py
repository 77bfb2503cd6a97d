"""Mutants of the money code: each is the product with one operator, constant or condition changed, and a test has to notice.

    python -m tests.mutants [--modules lots,earning] [--sample N] [--limit SHARE] [--keep FILE] [--again]

Works on copies of the tree, one for each process, so that yours stays as it is. Ends with status 1 when fewer than the limit are killed,
and names the survivors. cosmic-ray makes the mutants; what runs them is here, because its own runner has one process. A run of hours
can be stopped and gone on with: `--keep` has a line for each mutant that was tried, and those are not tried again while their module
and its mutants stay the same; with `--again` only those that survived are, after tests have been added.
"""

import argparse
import ast
import concurrent.futures
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[2]
# What is money, and what has to notice. The first of each is quick and pure; the rest is asked only when it notices nothing.
_PARTS, _CASES = "tests/loyalty/test_returns_in_parts.py", "tests/loyalty/test_cases.py"
_WAITING = "tests/concurrency/test_waiting.py"
_OFFLINE, _STATES = "tests/loyalty/test_offline.py", "tests/properties"
MODULES = {
    "lots": ("loyalty/lots.py", ["tests/loyalty/test_lots.py", _CASES, _STATES]),
    "rules": ("loyalty/rules.py", ["tests/loyalty/test_rules.py", "tests/loyalty/test_earning.py", _CASES]),
    "earning": ("loyalty/earning.py", ["tests/loyalty/test_earning.py", _CASES, _PARTS]),
    "rounding": ("stores/money.py", ["tests/stores/test_money.py", "tests/loyalty/test_checkout.py"]),
    "ledger": ("loyalty/ledger.py", ["tests/loyalty/test_ledger.py", _PARTS, _CASES, _OFFLINE, _STATES]),
    "locks": ("loyalty/locks.py", [_WAITING, _CASES, "tests/loyalty/test_merging.py"]),
    "funds": ("loyalty/funds.py", [_PARTS, _CASES, _OFFLINE, _STATES]),
    "returns": ("loyalty/returns.py", [_PARTS, "tests/loyalty/test_returns.py", _CASES, _OFFLINE, _STATES]),
    "giving_back": ("loyalty/giving_back.py", [_PARTS, _OFFLINE, _CASES, _STATES]),
}
# Changes that mean nothing here: an annotation's | is no operation, decorators and the number of lines in an exception are no money.
SKIPPED = (
    "core/RemoveDecorator",
    "core/ReplaceBinaryOperator_BitOr",
    "core/ExceptionReplacer",
    "core/VariableReplacer",
    "core/VariableInserter",
)
SECONDS_MAX = 240


class Mutant(NamedTuple):
    module: str
    operator: str
    occurrence: int

    @property
    def path(self) -> str:
        return MODULES[self.module][0]


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module that changes it."""
    source = (ROOT / MODULES[module][0]).read_text()
    found = []
    for operator in operator_names():
        if operator.startswith(SKIPPED):
            continue
        occurrence = 0
        while (changed := mutate_code(source, get_operator(operator)(), occurrence)) is not None:
            if _matters(source, changed):
                found.append(Mutant(module, operator, occurrence))
            occurrence += 1
    return found


def _matters(source: str, changed: str) -> bool:
    """Whether what is run is another. What does not parse notices itself."""
    try:
        return _run_part(source) != _run_part(changed)
    except SyntaxError:
        return False


def _run_part(source: str) -> str:
    """A module without annotations, docstrings and the names and kinds of parameters, whose defaults stay."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            node.args = ast.arguments([], [], None, [], [], None, defaults)
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def killed(mutant: Mutant, tree: Path) -> bool:
    """Whether a test of the module fails with the mutant in place."""
    file = tree / mutant.path
    source = (ROOT / mutant.path).read_text()
    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    assert changed is not None
    file.write_text(changed)
    try:
        return any(_fails(tree, tests) for tests in MODULES[mutant.module][1])
    finally:
        file.write_text(source)


def _fails(tree: Path, tests: str) -> bool:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "SOAK_EXAMPLES": "25"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def shown(mutant: Mutant) -> str:
    """Where a mutant is and what it did."""
    source = (ROOT / mutant.path).read_text()
    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence) or ""
    for number, (before, after) in enumerate(zip(source.splitlines(), changed.splitlines(), strict=False), start=1):
        if before != after:
            return f"{mutant.path}:{number}\n    - {before.strip()}\n    + {after.strip()}"
    return f"{mutant.path}: {mutant.operator}"


def _work(job: tuple[list[Mutant], Path, Path | None]) -> list[tuple[Mutant, bool]]:
    chosen, tree, keep = job
    done = []
    for mutant in chosen:
        done.append((mutant, killed(mutant, tree)))
        print("." if done[-1][1] else f"\n{shown(mutant)}\n", end="", file=sys.stderr, flush=True)
        if keep is not None:
            with keep.open("a") as file:
                file.write(json.dumps({"mutant": _key(mutant), "killed": done[-1][1]}) + "\n")
    return done


def _key(mutant: Mutant) -> str:
    """What a mutant is, as long as its module is as it is."""
    content = (ROOT / mutant.path).read_bytes()
    return f"{mutant.module} {hashlib.sha256(content).hexdigest()[:12]} {mutant.operator} {mutant.occurrence}"


def _kept(keep: Path | None) -> dict[str, bool]:
    if keep is None or not keep.exists():
        return {}
    return {line["mutant"]: line["killed"] for line in map(json.loads, keep.read_text().splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("--modules", default=",".join(MODULES))
    parser.add_argument("--sample", type=int, help="so many of each module, drawn by a fixed seed")
    parser.add_argument("--limit", type=float, default=0.85)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a file of what was tried")
    parser.add_argument("--again", action="store_true", help="only what survived before, by the file of --keep")
    arguments = parser.parse_args()
    chosen: list[Mutant] = []
    for module in arguments.modules.split(","):
        found = mutants(module)
        chosen += random.Random(1).sample(found, min(arguments.sample or len(found), len(found)))
    random.Random(1).shuffle(chosen)  # so that a part of a run is a sample of all
    tried = _kept(arguments.keep)
    if arguments.again:
        chosen, tried = [mutant for mutant in chosen if tried.get(_key(mutant)) is False], {}
    results = [(mutant, tried[_key(mutant)]) for mutant in chosen if _key(mutant) in tried]
    chosen = [mutant for mutant in chosen if _key(mutant) not in tried]
    with tempfile.TemporaryDirectory(prefix="regulars-mutants-") as folder:
        trees = [Path(folder) / str(number) / "main" for number in range(arguments.processes)]
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache"))
        jobs = [(chosen[number :: len(trees)], tree, arguments.keep) for number, tree in enumerate(trees)]
        with concurrent.futures.ThreadPoolExecutor(len(trees)) as pool:
            results += [result for done in pool.map(_work, jobs) for result in done]
    print(file=sys.stderr)
    for module in arguments.modules.split(","):
        of_module = [dead for mutant, dead in results if mutant.module == module]
        print(f"{module}: {sum(of_module)} of {len(of_module)} killed")
    survivors = [mutant for mutant, dead in results if not dead]
    share = 1 - len(survivors) / max(1, len(results))
    print(f"{share:.1%} of {len(results)} mutants killed; the limit is {arguments.limit:.0%}")
    sys.exit(0 if share >= arguments.limit else 1)


if __name__ == "__main__":
    main()
