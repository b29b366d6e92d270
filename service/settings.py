"""Settings, read once at start from the environment; every one is in docs/operations.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PREFIX = "PEERNOTES_"
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """`zone` reads dates without an offset; `base_url` is what every absolute link starts with.

    `machines`: whether the ledger's sequencer and notary run with the service, or as their own
    process. `sensitivities` (v3-ActCode) label every session: what being served by this program
    reveals.
    """

    mode: Literal["demo", "production"]
    host: str
    port: int
    base_url: str
    data_dir: Path
    keyring: Path
    notary_dir: Path
    database_url: str
    workers: int
    machines: bool
    zone: ZoneInfo
    sensitivities: tuple[str, ...]
    tls_behind_proxy: bool
    log_level: str

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read PEERNOTES_*; raises ValueError naming the variable that does not parse."""

    def value(name: str, default: str) -> str:
        return environ.get(PREFIX + name, default)

    mode = value("MODE", "demo")
    if mode not in ("demo", "production"):
        raise ValueError("PEERNOTES_MODE is demo or production")
    data_dir = Path(value("DATA_DIR", "var")).absolute()
    host = value("HOST", "127.0.0.1")
    port = _number("PORT", value("PORT", "8000"))
    return Settings(
        mode="demo" if mode == "demo" else "production",
        host=host,
        port=port,
        base_url=value("BASE_URL", f"http://{host}:{port}").rstrip("/"),
        data_dir=data_dir,
        keyring=Path(value("KEYRING", str(data_dir / "keys" / "keyring.json"))),
        notary_dir=Path(value("NOTARY_DIR", str(data_dir / "notary"))),
        database_url=_database_url(value("DATABASE_URL", ""), data_dir),
        workers=_number("WORKERS", value("WORKERS", "1"), 256),
        machines=_choice("MACHINES", value("MACHINES", "yes")),
        zone=_zone(value("ZONE", "America/New_York")),
        sensitivities=tuple(value("SENSITIVITIES", "SUD").split()),
        tls_behind_proxy=_choice("TLS_BEHIND_PROXY", value("TLS_BEHIND_PROXY", "no")),
        log_level=_level(value("LOG_LEVEL", "info")),
    )


def _number(name: str, text: str, most: int = 65_535) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= most):
        raise ValueError(f"PEERNOTES_{name} is a whole number from 1 to {most}")
    return int(text)


def _choice(name: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"PEERNOTES_{name} is yes or no")
    return text == "yes"


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("PEERNOTES_ZONE names no time zone, as America/New_York does") from None


def _level(text: str) -> str:
    if text.lower() not in LEVELS:
        raise ValueError(f"PEERNOTES_LOG_LEVEL is one of {', '.join(LEVELS)}")
    return text


def _database_url(text: str, data_dir: Path) -> str:
    url = text or f"sqlite:///{data_dir / 'database' / 'peernotes.db'}"
    if not url.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
        raise ValueError("PEERNOTES_DATABASE_URL starts with sqlite: or postgresql:")
    return url
