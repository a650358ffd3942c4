"""How fast a volume may be: what the cloud says to its storage, and the storage to its drivers.

A bucket of each kind, requests and bytes: it lets `per_s` through, and up to `burst_per_s` while it holds credit for it. A
full bucket lasts for `burst_s` seconds of bursting; it fills again at `per_s`. Who asks for more waits. 0 stands for no
limit. Pure data.
"""

from __future__ import annotations

import msgspec


class Flow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One bucket. Without `burst_per_s` there are no bursts."""

    per_s: int = 0
    burst_per_s: int = 0
    burst_s: int = 0


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Requests and bytes, reads and writes together. A request of more than `request_bytes` counts as several."""

    requests: Flow = Flow()
    data: Flow = Flow()
    request_bytes: int = 0


UNLIMITED = Pace()
