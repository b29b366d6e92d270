"""The house keeps its floors: every import contract bites, and what imports cannot show is read."""

import ast
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "service"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
MODULES = sorted(SERVICE.rglob("*.py"))
SIZED = [path for path in MODULES if "versions" not in path.parts]
"""A migration is a frozen list of columns: its length says nothing."""

BREACHES = {
    "Floors": ("records/view.py", "service.access.permit"),
    "No cycles at any depth": ("audit/entry.py", "service.audit.search"),
    "Only the gate opens a transaction": ("app.py", "service.database.transactions"),
    "Only the gate appends to the ledger": ("review/compliance.py", "service.audit.append"),
    "Only the gate and start-up code know the lane": (
        "fhir/reading.py",
        "service.audit.groupcommit",
    ),
    "Only the ledger makes an entry's rows": ("access/act.py", "service.audit.ingest"),
    "The ledger's tables stay in the ledger": ("review/compliance.py", "service.audit.tables"),
    "Only start-up code reads settings and builds an engine": (
        "access/caller.py",
        "service.settings",
    ),
    "Only the command line reaches migrations and the notary": ("app.py", "service.audit.notary"),
    "Rules are pure": ("consent/decision.py", "time"),
    "The verifier stands alone": ("audit/tree.py", "service.errors"),
    "HTTP stays at the doors": ("access/receipt.py", "starlette.types"),
    "Doors hold no SQL and no cipher": ("fhir/searching.py", "sqlalchemy"),
    "FHIR models are used in one place": ("records/document.py", "fhir.resources"),
    "Sign-in libraries stay at their door": ("app.py", "authlib.oauth2"),
    "Only the fetcher of client keys and the command line call other machines": (
        "records/directory.py",
        "httpx2",
    ),
}
"""One import that each contract forbids: (the module that gets it, what it imports)."""

TRANSACTION_FILES = ("database/", "migrations/", "access/enforce.py")
VERIFIER = ("tree", "checkpoint", "verify")
MOST_LINES = 300
LONGER_FILES = {
    "access/act.py": 305, "audit/checkpoint.py": 325, "audit/verify.py": 420,
    "records/filters.py": 310, "records/search.py": 305, "records/visible.py": 321,
}  # fmt: skip
"""Files that grew past the limit, each with a limit of its own that only ever falls."""
MOST_FUNCTION_LINES = 40
LONGER_FUNCTIONS = {"cli/story.py:_session": 42}


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """The package and its contracts, where a test may break them."""
    place = tmp_path_factory.mktemp("house")
    shutil.copytree(SERVICE, place / "service", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def lint(place: Path) -> tuple[int, str]:
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [script, "--no-cache"], cwd=place, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def linted(place: Path) -> tuple[int, set[str]]:
    """The linter's exit code, and the names of the broken contracts."""
    code, said = lint(place)
    kept = {line.removesuffix(" KEPT") for line in said.splitlines() if line.endswith(" KEPT")}
    broken = {line[: -len(" BROKEN")] for line in said.splitlines() if line.endswith(" BROKEN")}
    assert kept | broken == {contract["name"] for contract in CONTRACTS}, said
    return code, broken


def test_every_contract_is_kept():
    assert linted(ROOT) == (0, set())


def test_every_contract_is_broken_once_below():
    assert BREACHES.keys() == {contract["name"] for contract in CONTRACTS}


@pytest.mark.parametrize("name", sorted(BREACHES))
def test_a_contract_bites(name, copied):
    file, imported = BREACHES[name]
    module = copied / "service" / file
    before = module.read_text()
    module.write_text(f"{before}\nimport {imported}  # a breach\n")
    try:
        code, broken = linted(copied)
    finally:
        module.write_text(before)
    assert code != 0
    assert name in broken


def test_a_new_room_must_be_given_a_floor(copied):
    room = copied / "service" / "attic"
    room.mkdir()
    try:
        (room / "__init__.py").touch()
        code, said = lint(copied)
    finally:
        shutil.rmtree(room)
    assert code != 0
    assert "Floors BROKEN" in said or "attic" in said


def test_the_verifiers_contract_names_every_other_module_of_the_ledger():
    contract = next(c for c in CONTRACTS if c["name"] == "The verifier stands alone")
    others = {path.stem for path in (SERVICE / "audit").glob("*.py")} - {"__init__", *VERIFIER}
    named = {module.removeprefix("service.audit.") for module in contract["forbidden_modules"]}
    assert others <= named


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(), str(path))))


def within(path: Path) -> str:
    return path.relative_to(SERVICE).as_posix()


def test_only_the_gate_and_the_ground_open_connections_and_commit():
    found = []
    for path in MODULES:
        if within(path).startswith(TRANSACTION_FILES):
            continue
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and node.attr in {"connect", "begin", "commit"}:
                found.append(f"{within(path)}:{node.lineno} .{node.attr}")
            if isinstance(node, ast.alias | ast.Name | ast.Attribute) and (
                "create_engine" in {getattr(node, word, "") for word in ("name", "id", "attr")}
            ):
                found.append(f"{within(path)}:{node.lineno} create_engine")
    assert found == []


def test_the_verifier_imports_the_standard_library_cryptography_and_itself():
    allowed = sys.stdlib_module_names | {"cryptography", *VERIFIER}
    ours = {"service.audit", *(f"service.audit.{name}" for name in VERIFIER)}
    for name in VERIFIER:
        for node in nodes(SERVICE / "audit" / f"{name}.py"):
            imported = []
            if isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
                if node.module == "service.audit":
                    assert {alias.name for alias in node.names} <= set(VERIFIER)
            elif isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            for module in imported:
                assert module in ours or module.partition(".")[0] in allowed, (name, module)


def test_init_files_are_empty():
    """Importing any module of a package runs them."""
    for package in SERVICE.rglob("__init__.py"):
        assert package.read_text() == "", package


def test_imports_stand_at_the_top():
    """An import inside a function hides a cycle; what forces one moves down a floor."""
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
                assert inner == [], f"{within(path)}:{node.lineno} {node.name}"


def test_nothing_is_printed_but_by_the_command_line():
    for path in MODULES:
        if within(path).startswith("cli/"):
            continue
        for node in nodes(path):
            assert not (isinstance(node, ast.Name) and node.id == "print"), within(path)


def test_files_are_short():
    long = {
        within(path): lines
        for path in SIZED
        if (lines := len(path.read_text().splitlines()))
        > LONGER_FILES.get(within(path), MOST_LINES)
    }
    assert long == {}, "seek the second noun in these"


def test_functions_are_short():
    long = {
        name: lines
        for path in SIZED
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (name := f"{within(path)}:{node.name}")
        and (lines := (node.end_lineno or 0) - node.lineno + 1)
        > LONGER_FUNCTIONS.get(name, MOST_FUNCTION_LINES)
    }
    assert long == {}, "seek the second verb in these"


def test_nothing_is_left_for_later():
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
    for path in MODULES:
        text = path.read_text()
        assert not any(word in text for word in words), within(path)


def test_no_two_test_files_share_a_name():
    """Pytest imports them by name alone: the second of two would not be collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
