"""Passwords: how they are kept, and what an account asks of them.

Kept is scrypt of the password (32 MiB of memory, three rounds' work), under a salt of its own; checking is in constant time
and in another thread. A password policy that was never set is AWS's default: eight characters, three kinds of four, not the
account's name. Source: "Setting an account password policy", IAM guide.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.store import iam_passwords
from eucapy.errors import ApiError

_N, _R, _P = 1 << 15, 8, 3
_SYMBOLS = frozenset(
    ["!", "@", "#", "$", "%", "^", "&", "*", "(", ")", "_", "+", "-", "=", "[", "]", "{", "}", "|", "'"]
)
DEFAULT_LENGTH = 8


class PasswordPolicyViolation(ApiError):
    pass


async def hashed(password: str) -> str:
    """What may be kept of a password."""
    salt = os.urandom(16)
    digest = await asyncio.to_thread(_scrypt, password, salt)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(digest)}"


async def matches(password: str, kept: str) -> bool:
    """Whether `kept` is of this password."""
    _, n, r, p, salt, digest = kept.split("$")
    found = await asyncio.to_thread(_scrypt, password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, n: int = _N, r: int = _R, p: int = _P) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + (1 << 20), dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def require_good(call: Call, user_id: str, password: str) -> None:
    """Raises PasswordPolicyViolation when the account's policy does not allow the user this password."""
    rules = await iam_passwords.rules(call.tx, call.account)
    broken = breaks(password, rules)
    if broken:
        raise PasswordPolicyViolation(broken)
    remembered = int((rules or {}).get("PasswordReusePrevention") or 0)
    for kept in await iam_passwords.former(call.tx, user_id, remembered) if remembered else ():
        if await matches(password, kept):
            raise PasswordPolicyViolation("Password should not be one of the previously used passwords.")


def breaks(password: str, rules: Mapping[str, Any] | None) -> str:
    """Which rule a password breaks, in IAM's words; "" for none."""
    kinds = {
        "RequireUppercaseCharacters": (any("A" <= c <= "Z" for c in password), "one uppercase letter"),
        "RequireLowercaseCharacters": (any("a" <= c <= "z" for c in password), "one lowercase letter"),
        "RequireNumbers": (any("0" <= c <= "9" for c in password), "one number"),
        "RequireSymbols": (any(c in _SYMBOLS for c in password), "one of the following characters: "
                           "! @ # $ % ^ & * ( ) _ + - = [ ] { } | '"),
    }  # fmt: skip
    least = int((rules or {}).get("MinimumPasswordLength") or DEFAULT_LENGTH)
    if len(password) < least:
        return f"Password should have a minimum length of {least}"
    if rules is None:
        if sum(present for present, _ in kinds.values()) < 3:
            return (
                "Password should contain a minimum of three of the following mix of character types: uppercase, "
                "lowercase, numbers, and non-alphanumeric characters"
            )
        return ""
    for rule, (present, word) in kinds.items():
        if rules.get(rule) and not present:
            return f"Password should have at least {word}"
    return ""
