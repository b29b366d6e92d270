"""Time-ordered random ids: UUIDv7 (RFC 9562, section 5.7)."""

import os

from service.vocabulary import Micros


def uuid7(at: Micros) -> str:
    """48 bits of milliseconds, then 74 random bits; says when, and nothing about whom."""
    value = (at // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
