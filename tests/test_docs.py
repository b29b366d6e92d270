"""The documents say what the code does: settings, routes, operations, links, the matrix."""

import argparse
import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from service.cli.main import parser
from service.consent.form import Fault, Statement
from service.fhir.capabilities import CAPABILITIES
from service.fhir.routes import router as fhir
from service.identity import routes as identity
from service.records.parameters import COMMON, PARAMETERS
from service.review.routes import router as review
from service.settings import PREFIX
from service.sync.handlers import HANDLERS
from service.sync.quarantine import router as quarantine
from service.sync.routes import router as sync

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PROVED = (DOCS / "compliance.md", DOCS / "threat-model.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
EXPECTED = {"performance.md"}
"""Pages that a link may lead to before `make bench` or their authors have written them."""


def page(name: str) -> str:
    return (DOCS / name).read_text()


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, headings and rules left out."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("|") and not all(set(cell) <= set("-: ") for cell in cells):
            found.append(cells)
    return found


@cache
def named_in(path: str) -> frozenset[str]:
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assigned = {
        name.id for node in ast.walk(tree) if isinstance(node, ast.Assign)
        for name in node.targets if isinstance(name, ast.Name)
    }  # fmt: skip
    return frozenset(name for name in functions | assigned if name.lower().startswith("test"))


def settings() -> set[str]:
    """Every name that `from_environment` asks for."""
    tree = ast.parse((ROOT / "service" / "settings.py").read_text())
    return {
        PREFIX + node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        and node.func.id == "value" and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip


def served() -> set[str]:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(identity.router(SimpleNamespace()))
    app.include_router(sync, prefix="/sync/v1")
    app.include_router(quarantine)
    app.include_router(review)
    app.include_router(fhir, prefix="/fhir")
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in set(route.methods or ()) - {"HEAD"}
    }


def commands() -> set[str]:
    """`run`, `ledger verify`, ...: each as it is typed."""

    def walk(under: argparse.ArgumentParser, typed: tuple[str, ...]) -> list[str]:
        deeper = [a for a in under._actions if isinstance(a, argparse._SubParsersAction)]
        if not deeper:
            return [" ".join(typed)]
        return [
            name
            for action in deeper
            for word, sub in action.choices.items()
            for name in walk(sub, (*typed, word))
        ]

    return set(walk(parser(), ()))


def test_every_setting_is_documented_and_no_other():
    written = {cells[0].strip("`") for cells in rows(page("operations.md")) if PREFIX in cells[0]}
    assert settings()
    assert written == settings()


def test_every_route_is_documented_and_no_other():
    written = {cells[0].strip("`") for cells in rows(page("http.md")) if "/" in cells[0]}
    assert written == served()


def test_every_sync_operation_is_documented_with_its_entity():
    told = {}
    for cells in rows(page("sync.md")):
        for name in re.findall(r"`([a-z]+\.[a-z]+)`", cells[0]):
            told.setdefault(name, cells[1])  # the table of types comes first
    assert told.keys() >= HANDLERS.keys()
    for name, (entity, _) in HANDLERS.items():
        assert entity in told[name], name


def test_every_command_is_documented():
    text = page("operations.md")
    for command in commands():
        parts = [re.escape(word) for word in command.split()]
        first, last = parts[0], parts[-1]
        assert re.search(rf"\b{first}\b.*\b{last}\b" if first != last else rf"\b{first}\b", text), (
            command
        )


def test_every_search_parameter_is_documented_with_its_type():
    common = {parameter.name for parameter in COMMON}
    told = {cells[0]: cells for cells in rows(page("fhir.md")) if len(cells) == 3}
    for type_, capability in CAPABILITIES.items():
        if type_ == "AuditEvent" or not capability.allows("search-type"):
            continue
        names = set(re.findall(r"`([\w-]+)`", told[type_][1]))
        assert names == PARAMETERS[type_].keys() - common, type_
        includes = set(re.findall(r"`([\w:-]+)`", told[type_][2]))
        assert includes == {*capability.includes, *capability.revincludes}, type_


def test_the_form_of_a_consent_is_told_paragraph_by_paragraph():
    text = page("fhir.md").partition("## Consent")[2]
    for fault in Fault:
        assert fault.value.removeprefix("2.31") in text, fault
    for statement in Statement:
        assert f"`{statement.value}`" in text, statement


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_links_resolve(file):
    for target in LINK.findall(file.read_text()):
        if "://" in target or Path(target).name in EXPECTED:
            continue
        assert (file.parent / target).exists(), target


def test_files_that_are_named_exist():
    for file in PAGES:
        for name in re.findall(
            r"`((?:service|tests|deploy|docs|bench)/[\w./-]+)`", file.read_text()
        ):
            if Path(name).name not in EXPECTED:
                assert (ROOT / name).exists(), f"{file.name}: {name}"


@pytest.mark.parametrize("file", PROVED, ids=lambda file: file.stem)
def test_every_test_that_is_named_exists(file):
    found = NODE.findall(file.read_text())
    assert found
    for path, name in found:
        assert name in named_in(path), f"{path}::{name}"


def test_every_clause_says_what_shows_it_or_what_is_missing():
    matrix = [
        cells for cells in rows(page("compliance.md")) if cells[0] not in ("clause", "standard")
    ]
    assert len(matrix) > 30
    for clause, feature, shown, state in matrix:
        assert state in {"yes", "in part", "not yet"}, clause
        assert (state == "not yet") is not bool(NODE.search(shown)), clause
        assert state == "yes" or "*Missing*" in feature or "*Missing here*" in feature, clause


def test_every_decision_is_in_the_index_and_says_why():
    index = (DOCS / "decisions" / "README.md").read_text()
    for file in sorted((DOCS / "decisions").glob("0*.md")):
        assert f"({file.name})" in index, file.name
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in file.read_text(), file.name


def test_every_dependency_earns_its_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=~ ]", name)[0] for name in project["dependencies"]}
    text = (DOCS / "decisions" / "0006-dependencies.md").read_text()
    told = {name for cells in rows(text) for name in cells[0].split(", ")} - {"package"}
    assert told == declared
