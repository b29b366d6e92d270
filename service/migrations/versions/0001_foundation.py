"""The first schema: every table of every room, as their tables.py declare them.

Made from the declarations, which later revisions change together with them; a test compares the
two on an empty database.
"""

from alembic import op

from service.access import tables as access
from service.audit import tables as audit
from service.database.metadata import metadata
from service.identity import tables as identity
from service.jobs import tables as jobs
from service.keys import tables as keys
from service.records import tables as records

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROOMS = (access, audit, identity, jobs, keys, records)
"""Imported so that their tables are declared."""


def upgrade() -> None:
    metadata.create_all(op.get_bind())
