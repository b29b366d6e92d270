"""No nonce comes twice, not even in processes forked from one that had already sealed."""

import os
import warnings
from tempfile import TemporaryFile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.keys import envelope

EACH = 50_000
FORKS = 4
KEY = AESGCM(bytes(32))


def nonces(count: int) -> bytes:
    return b"".join([envelope.seal(KEY, 1, b"", b"")[5:17] for _ in range(count)])


def test_two_hundred_thousand_seals_across_forks_share_no_nonce() -> None:
    drawn = [nonces(100)]
    for _ in range(FORKS):
        with TemporaryFile() as file:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads
                child = os.fork()
            if child == 0:
                try:
                    os.write(file.fileno(), nonces(EACH))
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            drawn.append(os.pread(file.fileno(), EACH * 12, 0))
    every = [
        drawn[i][at : at + 12] for i in range(len(drawn)) for at in range(0, len(drawn[i]), 12)
    ]
    assert len(every) == 100 + FORKS * EACH
    assert len(set(every)) == len(every)
