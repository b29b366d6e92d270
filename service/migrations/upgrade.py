"""Brings a database to the newest schema; told by the command line, on its connection."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

HERE = Path(__file__).parent


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    return config


def to_newest(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


def has_schema(connection: Connection) -> bool:
    return MigrationContext.configure(connection).get_current_revision() is not None


def is_newest(connection: Connection) -> bool:
    head = ScriptDirectory.from_config(_config(connection)).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == head
