"""A keyring that is missing, wrong, open to others or empty: refuse, and write nothing."""

import base64
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select

from service.database import engine as engines
from service.database.metadata import metadata
from service.database.transactions import Transactions
from service.errors import KeysRefused
from service.jobs.tables import job
from service.keys import keyring as keyrings
from service.keys import rotation
from service.keys.founding import first_to_name
from service.keys.keyring import Keyring
from service.keys.provider import LocalRoot
from service.keys.tables import key_kek, key_root, key_wrapped
from service.records.tables import ix_identifier, resource_version
from service.vocabulary import Micros, TenantId
from tests.conftest import HandClock
from tests.keys.conftest import new_id

KEY_TABLES = (key_root, key_kek, key_wrapped)


def contents(opener: Transactions, path: Path) -> tuple[object, ...]:
    with opener.read() as connection:
        rows = [sorted(map(repr, connection.execute(select(table)))) for table in KEY_TABLES]
    files = path.parent.rglob("*") if path.parent.is_dir() else ()
    return rows, [(str(file), file.lstat().st_mtime_ns) for file in sorted(files)]


def refuses(opener: Transactions, path: Path, *, create: bool = True) -> str:
    before = contents(opener, path)
    with pytest.raises(KeysRefused) as refused:
        keyrings.start(opener, path, create=create, at=Micros(0))
    assert contents(opener, path) == before
    return str(refused.value)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def damage_key(document: dict) -> None:
    document["roots"][0]["key"] = base64.b64encode(bytes(31)).decode()


def other_key(document: dict) -> None:
    document["roots"][0]["key"] = base64.b64encode(bytes(32)).decode()


def twice(document: dict) -> None:
    document["roots"] *= 2


def replace_by_link(path: Path) -> None:
    real = path.with_name("real.json")
    path.rename(real)
    path.symlink_to(real)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_directory(path: Path) -> None:
    real = path.parent.with_name("real")
    path.parent.rename(real)
    path.parent.symlink_to(real)


WRONG = {
    "missing": (lambda path: path.unlink(), "Restore it from its backup"),
    "missing with its directory": (lambda path: shutil.rmtree(path.parent), "Restore it"),
    "readable by the group": (lambda path: path.chmod(0o640), "chmod 600"),
    "readable by others": (lambda path: path.chmod(0o604), "chmod 600"),
    "in an open directory": (lambda path: path.parent.chmod(0o750), "chmod 700"),
    "a symbolic link": (replace_by_link, "put the file itself there"),
    "in a linked directory": (link_directory, "keep the keyring in one that is"),
    "a directory": (replace_by_directory, "restore it from its backup"),
    "empty": (lambda path: path.write_text(""), "is empty"),
    "blank": (lambda path: path.write_text(" \n"), "is empty"),
    "not JSON": (lambda path: path.write_text("{"), "damaged"),
    "not an object": (lambda path: path.write_text("[]"), "damaged"),
    "of another format": (lambda path: edit(path, lambda d: d.update(format="2")), "damaged"),
    "without roots": (lambda path: edit(path, lambda d: d.update(roots=[])), "damaged"),
    "with a short key": (lambda path: edit(path, damage_key), "damaged"),
    "with a root twice": (lambda path: edit(path, twice), "damaged"),
    "with another key": (lambda path: edit(path, other_key), "Restore the keyring that was in use"),
    "of another tenant": (
        lambda path: edit(path, lambda d: d.update(tenant=new_id())), "belongs to another database"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_keyring_refuses_and_says_what_to_do(
    wrong: str, keyring: Keyring, opener: Transactions, path: Path
) -> None:
    assert keyring.tenant
    spoil, advice = WRONG[wrong]
    spoil(path)
    assert advice in refuses(opener, path, create=True)
    assert advice in refuses(opener, path, create=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_keyring_of_another_user_is_refused(
    keyring: Keyring, opener: Transactions, path: Path
) -> None:
    assert keyring.tenant
    os.chown(path, 12345, -1)
    assert "chown" in refuses(opener, path)
    os.chown(path, os.geteuid(), -1)
    os.chown(path.parent, 12345, -1)
    assert "of the service's user" in refuses(opener, path)


def test_an_older_copy_of_the_keyring_is_refused(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    assert keyring.tenant
    older = path.read_bytes()
    rotation.rotate(opener, path, at=clock())
    path.write_bytes(older)
    assert "Restore the newest copy" in refuses(opener, path)


def test_a_keyring_in_the_database_directory_is_refused(sqlite_url: str, clock: HandClock) -> None:
    engine = engines.build(sqlite_url)
    database = Path(engine.url.database or "")
    for path in (database.parent / "keyring.json", database.parent / "keys" / "keyring.json"):
        with pytest.raises(KeysRefused, match="keep it elsewhere"):
            keyrings.start(Transactions(engine), path, create=True, at=clock())
    assert not list(database.parent.glob("**/keyring.json"))
    engine.dispose()


def test_without_leave_to_create_nothing_is_made(opener: Transactions, path: Path) -> None:
    assert "set the service up first" in refuses(opener, path, create=False)
    assert not path.parent.exists()


@pytest.mark.parametrize("table", [resource_version, ix_identifier], ids=lambda table: table.name)
def test_no_root_is_made_over_rows_that_may_be_sealed(
    table: object, opener: Transactions, path: Path
) -> None:
    filled = {
        resource_version: {
            "patient": new_id(), "type": "Task", "id": new_id(), "version": 1, "seq": 1,
            "updated": 1, "method": "PUT", "conf": 1, "families": 0, "audience": "team",
            "entry": new_id(), "body": b"sealed",
        },
        ix_identifier: {
            "type": "Patient", "digest": bytes(32), "patient": new_id(), "id": new_id(),
        },
    }  # fmt: skip
    with opener.write() as connection:
        connection.execute(table.insert(), filled[table])
    assert table.name in refuses(opener, path)
    assert not path.parent.exists()


@pytest.mark.parametrize("lost", [KEY_TABLES, (key_root, key_kek), (key_kek,)], ids=len)
def test_lost_key_tables_are_never_founded_anew(
    lost: tuple, keyring: Keyring, opener: Transactions, path: Path
) -> None:
    with opener.write() as connection:
        keyring.seal(connection, patient=new_id(), type="T", id="a", version=1, body=b"")
        connection.execute(
            ix_identifier.insert(),
            {"type": "Patient", "digest": bytes(32), "patient": new_id(), "id": new_id()},
        )
        for table in lost:
            connection.execute(delete(table))
    assert "restore the key tables" in refuses(opener, path)


@pytest.mark.parametrize("use", ["house", "index", "ingest", "token"])
def test_a_lost_or_altered_house_key_refuses(
    use: str, keyring: Keyring, opener: Transactions, path: Path
) -> None:
    assert keyring.tenant
    with opener.write() as connection:
        other = select(key_wrapped.c.wrapped).where(key_wrapped.c.use != use).limit(1)
        taken = connection.execute(other).scalar_one()
        row = key_wrapped.c.use == use
        connection.execute(key_wrapped.update().where(row).values(wrapped=taken))
    assert f"{use} key is missing or altered" in refuses(opener, path)
    with opener.write() as connection:
        connection.execute(delete(key_wrapped).where(key_wrapped.c.use == use))
    assert f"{use} key is missing or altered" in refuses(opener, path)


@pytest.mark.parametrize("column", ["wrapped", "canary"])
def test_an_altered_key_encryption_key_refuses(
    column: str, keyring: Keyring, opener: Transactions, path: Path
) -> None:
    assert keyring.tenant
    with opener.write() as connection:
        was = connection.execute(select(key_kek.c[column])).scalar_one()
        connection.execute(key_kek.update().values({column: was[:-1] + bytes([was[-1] ^ 1])}))
    assert "does not open key-encryption key 1" in refuses(opener, path)


def test_a_start_killed_after_the_file_goes_on_with_that_root(
    opener: Transactions, path: Path, clock: HandClock
) -> None:
    left = LocalRoot.create(path, TenantId(new_id()), clock())
    keyring = keyrings.start(opener, path, create=True, at=clock())
    assert keyring.tenant == left.tenant
    assert LocalRoot.load(path) == left


def test_the_file_and_its_directory_are_ours_alone(keyring: Keyring, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert json.loads(path.read_text())["tenant"] == keyring.tenant


def test_nothing_that_is_printed_shows_a_key(keyring: Keyring, path: Path) -> None:
    root = LocalRoot.load(path)
    assert "key=" not in repr(root)
    secret = root.roots[1].key
    assert repr(secret) not in repr(root)
    assert repr(keyring.token_key) not in repr(vars(keyring)["_custody"])


def test_rows_that_need_no_key_do_not_stand_in_the_way(
    opener: Transactions, path: Path, clock: HandClock
) -> None:
    with opener.write() as connection:
        row = {
            "id": new_id(), "kind": "k", "payload": "{}", "state": "ready", "run_at": 0,
            "attempts": 0, "error": "",
        }  # fmt: skip
        connection.execute(job.insert(), row)
    assert keyrings.start(opener, path, create=True, at=clock()).tenant


def test_the_second_to_name_a_root_learns_that_it_was_second(
    keyring: Keyring, opener: Transactions, path: Path
) -> None:
    assert keyring.tenant
    with opener.write() as connection:
        assert not first_to_name(connection, LocalRoot.load(path), 1)


def begin(url: str, path: Path) -> tuple[str, bytes]:
    engine: Engine = engines.build(url)
    keyring = keyrings.start(Transactions(engine), path, create=True, at=Micros(0))
    engine.dispose()
    return keyring.tenant, keyring.ingest_key


def test_processes_that_start_at_once_found_one_keyring(database_url: str, path: Path) -> None:
    assert metadata.tables
    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        begun = pool.starmap(begin, [(database_url, path)] * 8, chunksize=1)
    assert len(set(begun)) == 1
    assert list(LocalRoot.load(path).roots) == [1]
