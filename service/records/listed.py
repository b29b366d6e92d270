"""`column IN (values)` as one bound value: the SQL is the same however many values there are."""

import json
from typing import Any

from sqlalchemy import ColumnElement, Dialect, String, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean, TypeDecorator, TypeEngine

from service.database.metadata import GUID


class Texts(TypeDecorator[list[str]]):
    """Strings: an array on PostgreSQL, a JSON array on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return ARRAY(String()) if dialect.name == "postgresql" else String()

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401 (SQLAlchemy's)
        return list(value) if dialect.name == "postgresql" else json.dumps(list(value))


class Ids(TypeDecorator[list[str]]):
    """Ids: an array on PostgreSQL, on SQLite a JSON array of them as that keeps them."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return ARRAY(GUID) if dialect.name == "postgresql" else String()

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401 (SQLAlchemy's)
        if dialect.name == "postgresql":
            return list(value)
        return json.dumps([one.replace("-", "") for one in value])


class _OneOf(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True


@compiles(_OneOf, "sqlite")
def _one_of_sqlite(element: _OneOf, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 (compiled clauses)


@compiles(_OneOf, "postgresql")
def _one_of_postgresql(element: _OneOf, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{column} = ANY ({values})"


def one_of(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Whether `column` is one of the strings bound as `name`."""
    return _OneOf(column, bindparam(name, type_=Texts()))


def one_of_ids(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Whether `column` is one of the ids bound as `name`."""
    return _OneOf(column, bindparam(name, type_=Ids()))
