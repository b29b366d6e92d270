"""Canaries: random words that stand for a person's data, and the search for them on disks."""

import base64
import gzip
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

BORN = "1931-02-27"
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"


class Canaries:
    """Every canary of a run holds one long random word: whoever finds that found one of them."""

    def __init__(self) -> None:
        self.word = "".join(secrets.choice(ALPHABET) for _ in range(14))
        self.planted: list[str] = []

    def plant(self, where: str) -> str:
        """A text with the word in it, different in every place."""
        canary = f"Q{self.word}{len(self.planted):03}"
        self.planted.append(f"{canary} in {where}")
        return canary

    def spellings(self) -> Iterator[tuple[str, bytes]]:
        """All in lower case: the haystack is searched in lower case too, as well as it stands."""
        word = self.word
        yield "utf-8", word.lower().encode()
        yield "utf-16 le", word.lower().encode("utf-16-le")
        yield "utf-16 be", word.lower().encode("utf-16-be")
        yield "hexadecimal", word.encode().hex().encode()
        yield "birth date", BORN.encode()
        yield "reversed", word.lower()[::-1].encode()
        for shift in range(3):
            for text in (word, word.lower(), word.upper()):
                spelt = base64.b64encode(b"\0" * shift + text.encode())
                yield f"base64 at {shift}", spelt[(4 if shift else 0) : -4].lower()
        yield "twelve bytes of it", word.lower().encode()[1:13]

    def found_in(self, name: str, content: bytes) -> list[str]:
        lower = content.lower()
        return [f"{name}: {spelling}" for spelling, text in self.spellings() if text in lower]


def files(canaries: Canaries, folders: Iterable[Path]) -> list[str]:
    """What is found in the files below these folders, or in what they pack."""
    found: list[str] = []
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            content = path.read_bytes()
            found += canaries.found_in(str(path), content)
            if path.suffix == ".gz":
                found += canaries.found_in(str(path), gzip.decompress(content))
    return found


def rows(canaries: Canaries, url: str) -> list[str]:
    """What is found in a dump of every table: PostgreSQL may have compressed it on its disk."""
    found: list[str] = []
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT binary)")
            with connection.cursor().copy(query.format(sql.Identifier(table))) as copy:
                content = b"".join(bytes(block) for block in copy)
            found += canaries.found_in(table, content)
    return found
