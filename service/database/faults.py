"""What may be said of a database error: the driver's own text holds a person's data."""

from sqlalchemy.exc import DBAPIError


def reason(error: DBAPIError) -> str:
    """What may be logged of a database error: its class and SQLSTATE, never its values."""
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    return f"{type(error.orig).__name__}:{state}"
