"""Statements that find one record, its versions, or what references name: all through visible()."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Integer, Select, bindparam, select

from service.database.metadata import GUID
from service.records.listed import one_of, one_of_ids
from service.records.tables import TYPE, resource, resource_version
from service.records.visible import Shape, predicate

Statement = Select[Any]

r, v = resource.alias("r"), resource_version.alias("v")
IS_THIS = (r.c.type == bindparam("of_type", type_=TYPE), r.c.id == bindparam("of_id", type_=GUID))
VERSIONED = (v.c.patient == r.c.patient, v.c.type == r.c.type, v.c.id == r.c.id)


DELETED = (v.c.method == "DELETE").label("deleted")


@lru_cache
def current(kind: Shape) -> Statement:
    """The record `of_type`/`of_id` as it stands, tombstones included, with its sealed body."""
    columns = (r.c.patient, r.c.version, r.c.updated, r.c.deleted, r.c.lo, r.c.hi, r.c.conf,
               r.c.families, r.c.audience, r.c.author, v.c.body)  # fmt: skip
    return (
        select(*columns)
        .where(*IS_THIS, *VERSIONED, v.c.version == r.c.version)
        .where(predicate(kind, r, None, True))  # noqa: FBT003 (cached by position)
    )


@lru_cache
def versions(kind: Shape, *, one: bool) -> Statement:
    """`of_version` alone, or all below `before`, newest first; labels of then and now allowed."""
    found = (
        select(v.c.patient, v.c.version, v.c.updated, DELETED, v.c.body)
        .where(*IS_THIS, *VERSIONED)
        .where(predicate(kind, r, v, True))  # noqa: FBT003 (cached by position)
    )
    if one:
        return found.where(v.c.version == bindparam("of_version", type_=Integer))
    return (
        found.where(v.c.version < bindparam("before", type_=Integer))
        .order_by(v.c.version.desc())
        .limit(bindparam("most", type_=Integer))
    )


@lru_cache
def named(kind: Shape) -> Statement:
    """Records with one of `types` and one of `ids`: the caller keeps the pairs it asked for."""
    return select(
        r.c.type, r.c.id, r.c.patient, r.c.conf, r.c.families, r.c.audience, r.c.author
    ).where(
        one_of(r.c.type, "types"),
        one_of_ids(r.c.id, "ids"),
        predicate(kind, r),
    )
