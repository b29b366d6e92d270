"""`peernotes run`: set up if this is the first time, then serve."""

import errno
import ipaddress
import resource
import socket
from argparse import Namespace
from typing import Any

import uvicorn
from rich.console import Console

from service import telemetry
from service.app import House, build, clock, open_house
from service.audit.notary import Notary
from service.audit.sequencer import Sequencer
from service.cli import setup
from service.cli.demo_data import load
from service.errors import KeysRefused, Unavailable
from service.settings import Settings

EXAMPLE = "Example: PEERNOTES_DATABASE_URL=postgresql:///peernotes peernotes run"


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "run",
        help="set up if needed, then serve",
        description="Creates keys, database and (in demo mode) fictional people the first time,"
        " then serves. Where is set by PEERNOTES_PORT, PEERNOTES_DATA_DIR, PEERNOTES_DATABASE_URL.",
        epilog=EXAMPLE,
    )
    parser.set_defaults(run=run)


def run(_arguments: Namespace, settings: Settings) -> int:
    refuse_unsafe(settings)
    demand_port(settings.host, settings.port)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold open records
    telemetry.configure(settings.log_level)
    console = Console(stderr=True)
    first = setup.prepare(settings)
    house = open_house(settings)
    if settings.mode == "demo":
        load(house, console, first=first)
        console.print(
            f"[bold]Demo mode[/]: fictional people, keys under {settings.data_dir}, this machine"
            f" only. Serving {settings.base_url} (stop with Ctrl-C; try `peernotes demo`)."
        )
    serve(settings, house)
    return 0


def serve(settings: Settings, house: House) -> None:
    """One process with the ledger's machines as threads, or several workers under a parent that
    runs the machines.
    """
    machines: list[Sequencer | Notary] = []
    if settings.machines:
        machines.append(Sequencer(house.transactions, house.ledger, clock))
        machines.append(Notary(house.transactions, house.ledger, settings.notary_dir, clock))
    for machine in machines:
        machine.start()
    options: dict[str, Any] = {
        "host": settings.host, "port": settings.port, "access_log": False, "server_header": False,
        "log_level": "warning", "timeout_graceful_shutdown": 10, "limit_concurrency": 2000,
    }  # fmt: skip
    try:
        if settings.workers == 1:
            uvicorn.run(build(house), **options)
        else:
            uvicorn.run("service.app:create", factory=True, workers=settings.workers, **options)
    finally:
        for machine in reversed(machines):
            machine.close()
        house.close()


def refuse_unsafe(settings: Settings) -> None:
    """Demo mode stays on this machine; production speaks https and does not know demo keys."""
    loopback = settings.host == "localhost" or _is_loopback(settings.host)
    if settings.mode == "demo" and not loopback:
        raise KeysRefused("Demo mode serves this machine only: leave PEERNOTES_HOST at 127.0.0.1.")
    if settings.mode == "production":
        if not settings.base_url.startswith("https://"):
            raise KeysRefused("Production needs PEERNOTES_BASE_URL=https://...: plain http is"
                              " refused.")  # fmt: skip
        if not settings.tls_behind_proxy:
            raise KeysRefused("Production is served behind a proxy that ends TLS: see"
                              " deploy/ and set PEERNOTES_TLS_BEHIND_PROXY=yes.")  # fmt: skip
        if (settings.data_dir / "demo").exists():
            raise KeysRefused(f"{settings.data_dir} holds demo accounts: choose an empty"
                              " PEERNOTES_DATA_DIR.")  # fmt: skip
    if settings.workers > 1 and settings.sqlite:
        raise KeysRefused("SQLite has one writer: leave PEERNOTES_WORKERS at 1, or use PostgreSQL.")


def demand_port(host: str, port: int) -> None:
    """Say so before anything is made, rather than after everything was opened."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        why = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        )
        raise Unavailable(
            f"Port {port} of {host} {why}: stop the other program, or set PEERNOTES_PORT or"
            " PEERNOTES_HOST."
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
