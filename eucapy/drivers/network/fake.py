"""The fake network: the same verbs over a set in memory, for clouds without packets.

It keeps the rules that plans rely on: a tap is adopted only from the node's namespace, a veth's far end appears with it,
what lies on a link goes with the link, a namespace takes all with it. Trouble is had by asking: `fail(key)`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence

from eucapy.drivers.network.base import Capabilities, StepFailed
from eucapy.drivers.network.flow_counts import Flow, Flows
from eucapy.drivers.network.model import (
    NODE,
    Advertiser,
    Announce,
    Drop,
    Link,
    LinkKind,
    Namespace,
    Observed,
    PublicAddress,
    Put,
    Resolver,
    Step,
    Thing,
)


class FakeNetwork:
    """A node's network in memory. `announced` lists the public addresses that were announced, oldest first; `barriers` are the
    chains of a firewall of the host's own."""

    def __init__(self, *, mtus: dict[str, int] | None = None) -> None:
        self.announced: list[str] = []
        self.steps_taken = 0
        self.barriers: set[tuple[str, str, str]] = set()
        self._things: dict[Hashable, Thing] = {}
        self._waiting: set[str] = set()
        self._mtus = dict(mtus or {})
        self._failing: dict[Hashable, str] = {}
        self._broken: dict[str, str] = {}
        self._flows: dict[str, Flows] = {}
        self._wake: Callable[[], None] = lambda: None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="fake", carries_packets=False)

    async def observe(self) -> Observed:
        return Observed(
            things=frozenset(t for t in self._things.values() if t.namespace not in self._broken),
            waiting_taps=frozenset(self._waiting),
            mtus=dict(self._mtus),
            barriers=frozenset(self.barriers),
            broken=dict(self._broken),
        )

    async def apply(self, steps: Sequence[Step]) -> None:
        for step in steps:
            reason = self._failing.get(step.thing.key)
            if reason is not None:
                raise StepFailed(step, reason)
            match step:
                case Put(thing):
                    self._put(step, thing)
                case Drop(thing):
                    self._drop(step, thing)
                case Announce(thing):
                    self.announced.append(thing.ip)
            self.steps_taken += 1

    async def flows(self, namespaces: Collection[str]) -> dict[str, Flows]:
        found = {name: self._flows.pop(name) for name in namespaces if name in self._flows}
        return {**dict.fromkeys(namespaces, Flows()), **found}

    def watch(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    async def close(self) -> None:
        self._wake = lambda: None

    # What happens around the driver: guests, hosts, trouble.

    def plug(self, tap: str) -> None:
        """A guest was started: its tap appears in the node's namespace."""
        self._waiting.add(tap)
        self._wake()

    def unplug(self, tap: str) -> None:
        """The guest ended: its tap is gone wherever it was."""
        self._waiting.discard(tap)
        for thing in list(self._things.values()):
            if isinstance(thing, Link) and thing.kind is LinkKind.TAP and thing.name == tap:
                self._remove_link(thing)
        self._wake()

    def reboot(self) -> None:
        """The host lost everything that lives in its kernel; guests' taps too."""
        self._things.clear()
        self._waiting.clear()

    def count(self, namespace: str, *flows: Flow, skipped: int = 0) -> None:
        """The rules of a namespace saw these."""
        held = self._flows.get(namespace, Flows())
        self._flows[namespace] = Flows((*held.counted, *flows), held.skipped + skipped)

    def fail(self, key: Hashable, reason: str | None) -> None:
        """Every step over the thing with this key fails from now on (None: no longer)."""
        if reason is None:
            self._failing.pop(key, None)
        else:
            self._failing[key] = reason

    def break_namespace(self, namespace: str, reason: str | None) -> None:
        """The namespace cannot be read from now on (None: it can again)."""
        if reason is None:
            self._broken.pop(namespace, None)
        else:
            self._broken[namespace] = reason

    def _put(self, step: Step, thing: Thing) -> None:
        if thing.namespace != NODE and not isinstance(thing, Namespace):
            self._require(step, Namespace(namespace=thing.namespace).key)
        if isinstance(thing, Link) and thing.key not in self._things:
            if thing.kind is LinkKind.TAP:
                if thing.name not in self._waiting:
                    raise StepFailed(step, f"no tap {thing.name}")
                self._waiting.discard(thing.name)
            elif thing.kind is LinkKind.VETH_PEER:
                raise StepFailed(step, f"no link {thing.name}")
            elif thing.kind is LinkKind.VETH:
                if thing.far != NODE:
                    self._require(step, Namespace(namespace=thing.far).key)
                kind, back = (LinkKind.VETH_PEER, "") if thing.far == NODE else (LinkKind.VETH, thing.name)
                peer = Link(
                    namespace=thing.far, name=thing.peer, kind=kind, mtu=0, mac="", peer=back, far=thing.namespace
                )
                self._things[peer.key] = peer
        link = getattr(thing, "link", "")
        if link and link != "lo" and not isinstance(thing, PublicAddress):
            self._require(step, ("link", thing.namespace, link))
        self._things[thing.key] = thing

    def _require(self, step: Step, key: Hashable) -> None:
        if key not in self._things:
            raise StepFailed(step, f"no {key}")

    def _drop(self, step: Step, thing: Thing) -> None:
        if isinstance(thing, Link):
            if thing.kind is LinkKind.TAP:
                raise StepFailed(step, f"tap {thing.name} belongs to its guest")
            self._remove_link(thing)
        elif isinstance(thing, Namespace):
            for inside in [t for t in self._things.values() if t.namespace == thing.namespace]:
                if isinstance(inside, Link):
                    self._remove_link(inside)
                elif not isinstance(inside, Resolver | Advertiser):
                    self._things.pop(inside.key, None)
        else:
            self._things.pop(thing.key, None)

    def _remove_link(self, link: Link) -> None:
        held = self._things.pop(link.key, None)
        for thing in list(self._things.values()):
            if thing.namespace == link.namespace and getattr(thing, "link", "") == link.name:
                del self._things[thing.key]
        if isinstance(held, Link) and held.kind is LinkKind.VETH:
            peer = self._things.get(("link", held.far, held.peer))
            if isinstance(peer, Link):
                self._remove_link(peer)
