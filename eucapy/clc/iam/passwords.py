"""Passwords: how they are kept, and what an account asks of them.

Kept is scrypt of the password (32 MiB of memory, some 100 ms), under a salt that is the user's own; checking is in constant
time. It is computed by two threads of its own, however many ask, and outside of the request's transaction (`Call.aside`): who
tries passwords keeps nobody else waiting. A user's former passwords share the salt, so that one computation tells whether a
new one is among them. A password policy that was never set is AWS's default: eight characters, three kinds of four. Source:
"Setting an account password policy", IAM guide.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.store import iam_passwords
from eucapy.errors import ApiError

_N, _R, _P = 1 << 15, 8, 1
_SYMBOLS = frozenset(
    ["!", "@", "#", "$", "%", "^", "&", "*", "(", ")", "_", "+", "-", "=", "[", "]", "{", "}", "|", "'"]
)
DEFAULT_LENGTH = 8
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="scrypt")


class PasswordPolicyViolation(ApiError):
    pass


async def hashed(password: str, like: str | None = None) -> str:
    """What may be kept of a password; under the salt of `like`, when that was kept of the user's password before."""
    salt = base64.b64decode(like.split("$")[4]) if like is not None else os.urandom(16)
    digest = await _computed(password, salt)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(digest)}"


async def matches(password: str, kept: str) -> bool:
    """Whether `kept` is of this password."""
    _, n, r, p, salt, digest = kept.split("$")
    found = await _computed(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


async def _computed(password: str, salt: bytes, n: int = _N, r: int = _R, p: int = _P) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _scrypt, password, salt, n, r, p)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + (1 << 20), dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def is_of(call: Call, password: str, kept: str) -> bool:
    """As `matches`, inside a request's transaction."""
    return bool(await call.aside(("match", kept, password), lambda: matches(password, kept)))


async def accepted(call: Call, user_id: str, password: str) -> str:
    """What is to be kept of a user's new password. Raises PasswordPolicyViolation when the account's policy forbids it."""
    rules = await iam_passwords.rules(call.tx, call.account)
    broken = breaks(password, rules)
    if broken:
        raise PasswordPolicyViolation(broken)
    held = await iam_passwords.profile(call.tx, user_id)
    like = held.hashed if held is not None else None
    kept = str(await call.aside(("hash", like, password), lambda: hashed(password, like)))
    remembered = int((rules or {}).get("PasswordReusePrevention") or 0)
    if remembered and kept in await iam_passwords.former(call.tx, user_id, remembered):
        raise PasswordPolicyViolation("Password should not be one of the previously used passwords.")
    return kept


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
