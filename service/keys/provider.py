"""The local root: root keys in one JSON file that only we can read, outside the database directory.

    {"format": "peernotes-keyring/1", "tenant": "<uuid>",
     "roots": [{"root": 1, "created": <microseconds>, "key": "<base64 of 32 bytes>"}]}

Lost, it takes every record with it; copied, it opens every record. So it is refused rather than
repaired, a new one is never laid over an old one, and every write is whole and on disk before
anything in the database refers to it.
"""

import base64
import errno
import fcntl
import hmac
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import KeysRefused
from service.keys import envelope
from service.vocabulary import Micros, TenantId

FORMAT = "peernotes-keyring/1"
LARGEST = 1_000_000
READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class RootKey:
    created: Micros
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """The root keys of one tenant, one per key epoch, as the file holds them."""

    tenant: TenantId
    roots: Mapping[int, RootKey]

    @classmethod
    def load(cls, path: Path) -> "LocalRoot":
        return _parsed(path, _read(path))

    @classmethod
    def create(cls, path: Path, tenant: TenantId, at: Micros) -> "LocalRoot":
        """A file with root 1, or, if another process made one just now, that one."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise KeysRefused(
                f"The directory {path.parent} cannot be made ({_named(error)}): make it, owned by"
                " the service's user with mode 0700, and start again."
            ) from None
        with _locked(path):
            if not os.path.lexists(path):
                first = cls(tenant, {1: RootKey(at, envelope.new_key())})
                _write(path, first, over=False)
        return cls.load(path)

    @classmethod
    def add(cls, path: Path, at: Micros, *, above: int) -> "LocalRoot":
        """See that a root newer than `above` exists: one left unused by a crash serves again."""
        with _locked(path):
            now = cls.load(path)
            if now.newest > above:
                return now
            grown = cls(now.tenant, {**now.roots, above + 1: RootKey(at, envelope.new_key())})
            _write(path, grown, over=True)
        return cls.load(path)

    @classmethod
    def remove(cls, path: Path, root: int) -> "LocalRoot":
        """Destroy a root key here. Copies of the file still hold it: they count as backups."""
        with _locked(path):
            now = cls.load(path)
            if root in now.roots:
                left = {number: key for number, key in now.roots.items() if number != root}
                _write(path, cls(now.tenant, left), over=True)
        return cls.load(path)

    @property
    def newest(self) -> int:
        return max(self.roots)

    def reference(self, root: int) -> str:
        """Tells two root keys apart in the database, and says nothing about either."""
        return hmac.digest(self._key(root), b"peernotes/root/v1", "sha256")[:8].hex()

    def wrap(self, root: int, kek: int, key: bytes) -> bytes:
        aad = envelope.kek_context(self.tenant, kek, root)
        return envelope.wrap(AESGCM(self._key(root)), root, key, aad)

    def unwrap(self, root: int, kek: int, wrapped: bytes) -> bytes:
        aad = envelope.kek_context(self.tenant, kek, root)
        return envelope.unwrap(AESGCM(self._key(root)), root, wrapped, aad)

    def _key(self, root: int) -> bytes:
        if root not in self.roots:
            raise KeysRefused(
                f"The keyring lacks root key {root}, which the database refers to: it is an older"
                " copy. Restore the newest copy of the keyring; nothing was written."
            )
        return self.roots[root].key


def _read(path: Path) -> bytes:
    """The bytes of a regular file that is ours alone, in a directory that is ours alone."""
    _check_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeysRefused(
                f"The keyring {path} is a symbolic link: put the file itself there."
            ) from None
        raise KeysRefused(
            f"The keyring {path} cannot be read ({_named(error)}): run as the user who owns it."
        ) from None
    try:
        _check_file(path, os.fstat(descriptor))
        content = os.read(descriptor, LARGEST)
    finally:
        os.close(descriptor)
    if not content.strip():
        raise KeysRefused(f"The keyring {path} is empty: restore it from its backup.")
    return content


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeysRefused(f"The keyring {path} is no regular file: restore it from its backup.")
    if status.st_uid != os.geteuid():
        raise KeysRefused(
            f"The keyring {path} belongs to another user: chown it to the service's user."
        )
    if status.st_mode & READABLE_BY_OTHERS:
        raise KeysRefused(
            f"The keyring {path} is open to others: run chmod 600 on it, and if anyone else may"
            " have read it, rotate the keys."
        )


def _missing(path: Path) -> KeysRefused:
    return KeysRefused(
        f"There is no keyring at {path}. Restore it from its backup, or correct PEERNOTES_KEYRING;"
        " a new one would open no record, so none was made."
    )


def _check_directory(directory: Path) -> None:
    try:
        status = os.lstat(directory)
    except FileNotFoundError:
        raise _missing(directory / "keyring.json") from None
    except OSError as error:
        raise KeysRefused(
            f"The keyring's directory {directory} cannot be read ({_named(error)})."
        ) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise KeysRefused(
            f"{directory} must be a directory of the service's user, no link: keep the keyring in"
            " one that is."
        )
    if status.st_mode & READABLE_BY_OTHERS:
        raise KeysRefused(
            f"The keyring's directory {directory} is open to others: run chmod 700 on it."
        )


def _parsed(path: Path, content: bytes) -> LocalRoot:
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise ValueError(FORMAT)  # noqa: TRY301 (one refusal for all damage)
        roots = {
            int(each["root"]): RootKey(
                Micros(int(each["created"])), base64.b64decode(each["key"], validate=True)
            )
            for each in document["roots"]
        }
        whole = len(roots) == len(document["roots"]) and all(
            number > 0 and len(root.key) == envelope.KEY_BYTES for number, root in roots.items()
        )
        tenant = TenantId(str(document["tenant"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        whole, roots, tenant = False, {}, TenantId("")
    if not whole or not roots:
        raise KeysRefused(
            f"The keyring {path} holds no root key, or is damaged: restore it from its backup."
        )
    return LocalRoot(tenant, roots)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time: two that read, added and wrote would lose a root key."""
    _check_directory(path.parent)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    except OSError as error:
        raise KeysRefused(
            f"The keyring {path} cannot be written ({_named(error)}); it is as it was."
        ) from None
    finally:
        os.close(descriptor)


def _write(path: Path, root: LocalRoot, *, over: bool) -> None:
    """Whole or not at all: written beside, flushed, then named. Call it under the lock."""
    document = {
        "format": FORMAT,
        "tenant": root.tenant,
        "roots": [
            {
                "root": number,
                "created": each.created,
                "key": base64.b64encode(each.key).decode(),
            }
            for number, each in sorted(root.roots.items())
        ],
    }
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # a crash left it: a copy of root keys nobody wants lying about
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(document, indent=1) + "\n")
        file.flush()
        os.fsync(descriptor)
    if over:
        beside.replace(path)
    else:
        os.link(beside, path)  # unlike a rename, never lays itself over a file
        beside.unlink()


def _named(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown error")
