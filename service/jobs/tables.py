"""The job table: work that outlives a request, leased to whoever runs it."""

from sqlalchemy import Column, Index, Integer, String, Table, Text, text

from service.database.metadata import GUID, MICROS, metadata

LIVE = "state IN ('ready', 'leased')"

job = Table(
    "job",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("payload", Text, nullable=False),  # JSON of ids and codes, never a participant's data
    Column("state", String(6), nullable=False),  # ready, leased, done, dead
    Column("run_at", MICROS, nullable=False),  # due; leased: when the lease ends; done: when
    Column("attempts", Integer, nullable=False),
    Column("lease", GUID, nullable=True),
    Column("error", String(80), nullable=False),  # class name of the last failure
    Column("dedupe", String(100), nullable=True),
)
Index("ix_job_due", job.c.run_at, job.c.id, postgresql_where=text(LIVE), sqlite_where=text(LIVE))
# Unique among live jobs only, or a recurring job would run once ever.
Index(
    "uq_job_dedupe", job.c.kind, job.c.dedupe, unique=True,
    postgresql_where=text(LIVE), sqlite_where=text(LIVE),
)  # fmt: skip
