"""One MetaData for all tables, and the column types they share.

Each room declares its tables in its own tables.py. Times are microseconds (BIGINT); ids are
`str` in Python, native uuid on PostgreSQL and 32 hex digits on SQLite.
"""

from sqlalchemy import BigInteger, LargeBinary, MetaData, Uuid
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

GUID: TypeEngine[str] = Uuid(as_uuid=False)
MICROS = BigInteger()
SEALED = LargeBinary()
DIGEST = LargeBinary(32)
