"""`LinuxNetwork`: the verbs over the kernel. Everything blocking happens in one worker thread, one activity at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.base import Capabilities, StepFailed
from eucapy.drivers.network.flow_counts import Flows
from eucapy.drivers.network.linux import links, namespaces, netlink, passages, publics, routes
from eucapy.drivers.network.linux.advertisers import Advertisers
from eucapy.drivers.network.linux.events import LinkEvents
from eucapy.drivers.network.linux.flow_reading import FlowReader
from eucapy.drivers.network.linux.places import Place, Places
from eucapy.drivers.network.linux.resolvers import Resolvers
from eucapy.drivers.network.linux.rulesets import Rulesets
from eucapy.drivers.network.linux.sights import (
    ADDRESSES,
    FORWARDING,
    LINKS,
    NEIGHBOURS,
    OWN_ADDRESSES,
    OWN_LINKS,
    OWN_ROUTES,
    ROUTES,
    SOURCES,
    Sight,
    Sights,
)
from eucapy.drivers.network.model import (
    NODE,
    Address,
    Advertiser,
    Announce,
    Drop,
    Forwarding,
    Link,
    LinkKind,
    Namespace,
    Neighbour,
    Observed,
    Passage,
    PublicAddress,
    Put,
    Resolver,
    Route,
    Ruleset,
    Setting,
    SourceRule,
    Step,
    Thing,
)
from eucapy.run import RunError

T = TypeVar("T")

_WITH_FILES = (Resolver, Advertiser)
FORWARDING6 = "net.ipv6.conf.all.forwarding"
NODE_SETTINGS = ("net.ipv4.ip_forward", FORWARDING6)
"""The settings of the node's own namespace that are ours to see."""


class LinuxNetwork:
    """Namespaces whose names begin with `prefix` are ours; the resolvers' files are under `folder`.

    The node's namespace is the one named `home`, or the one that this process runs in.
    """

    def __init__(self, *, prefix: str, folder: Path, home: str = "") -> None:
        self._prefix = prefix
        self._home = home
        self._resolvers = Resolvers(folder)
        self._advertisers = Advertisers(folder)
        self._flows = FlowReader()
        self._rulesets = Rulesets(self._flows.keep)
        self._sights = Sights(home)
        self.messages_read = 0
        """Netlink messages that looking has cost so far: it grows with what has changed, not with what there is."""
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._events: LinkEvents | None = None
        self._put: dict[type, Callable[[Any, Places], None]] = {
            Namespace: lambda thing, places: namespaces.put(thing, places, self._resolvers.process),
            Setting: _put_setting,
            Ruleset: self._rulesets.put,
            Link: links.put,
            Neighbour: routes.put_neighbour,
            Forwarding: routes.put_forwarding,
            Address: routes.put_address,
            Route: routes.put_route,
            SourceRule: routes.put_source_rule,
            PublicAddress: publics.put,
            Passage: passages.put,
            Resolver: lambda thing, places: self._resolvers.put(thing),
            Advertiser: lambda thing, places: self._advertisers.put(thing),
        }
        self._drop: dict[type, Callable[[Any, Places], None]] = {
            Namespace: self._drop_namespace,
            Setting: lambda thing, places: None,  # who else relies on it cannot be known
            Ruleset: self._rulesets.drop,
            Link: links.drop,
            Neighbour: routes.drop_neighbour,
            Forwarding: routes.drop_forwarding,
            Address: routes.drop_address,
            Route: routes.drop_route,
            SourceRule: routes.drop_source_rule,
            PublicAddress: publics.drop,
            Passage: passages.drop,
            Resolver: lambda thing, places: self._resolvers.drop(thing),
            Advertiser: lambda thing, places: self._advertisers.drop(thing),
        }

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="linux", carries_packets=True)

    async def observe(self) -> Observed:
        try:
            return await self._work(self._observe)
        except NetlinkError as error:
            raise OSError(error.code, str(error)) from error

    async def apply(self, steps: Sequence[Step]) -> None:
        await self._work(lambda: self._apply(steps))

    async def flows(self, namespaces: Collection[str]) -> dict[str, Flows]:
        return await self._work(lambda: self._flows.read(namespaces))

    def watch(self, wake: Callable[[], None]) -> None:
        self._events = LinkEvents(wake, self._home)

    async def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
        await asyncio.to_thread(self._worker.shutdown)
        self._sights.close()

    async def _work(self, function: Callable[[], T]) -> T:
        """A cancelled caller waits for the work under way: half a step would be no step of ours."""
        future = asyncio.wrap_future(self._worker.submit(function))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def _observe(self) -> Observed:
        things: set[Thing] = set()
        broken: dict[str, str] = {}
        with Places(self._prefix, self._home) as places:
            self._sights.hear()
            node = places.node
            sight = self._sights.of(node, node)
            found = sight.part(LINKS, lambda: links.look(node.asking))
            mtu_of = {link.index: link.mtu for link in found}
            known = sight.part(ADDRESSES, lambda: list(routes.addresses(node.asking)))
            for name, value in node.read([name.replace(".", "/") for name in NODE_SETTINGS]).items():
                things.add(Setting(namespace=NODE, name=name.replace("/", "."), value=value))
            things |= _contents(node, sight, self._rulesets)
            routed = sight.part(ROUTES, lambda: routes.look(node.asking))
            others = routes.others((t for t in things if isinstance(t, Route)), routed)
            names = {link.index: link.name for link in found}
            things |= {thing for thing in publics.observe(node, names) if thing.ip not in others}
            forward_chains, passed = sight.of_generation(
                "passages", netlink.generation(node.netns), lambda: _passages(node)
            )
            things |= passed
            there = netns.of_vpcs(self._prefix)
            for name in there:
                try:
                    things |= _namespace(places[name], self._sights, self._rulesets, node)
                except (OSError, NetlinkError, LookupError) as error:
                    broken[name] = str(error)
                finally:
                    places.forget(name)
            self._sights.keep_only({NODE, *there})
            places.forget(NODE)
            self.messages_read += places.messages
            things |= {*self._resolvers.observe(self._prefix), *self._advertisers.observe(self._prefix)}
        return Observed(
            things=frozenset(things),
            waiting_taps=frozenset(link.name for link in found if link.kind == links.TUN),
            mtus={ip: mtu_of.get(index, 0) for index, ip, _ in known},
            barriers=frozenset(chain for chain, drops in forward_chains.items() if drops),
            broken=broken,
        )

    def _apply(self, steps: Sequence[Step]) -> None:
        with Places(self._prefix, self._home) as places:
            for step in steps:
                try:
                    self._take(step, places)
                except (OSError, NetlinkError, LookupError, RunError) as error:
                    raise StepFailed(step, str(error)) from error

    def _drop_namespace(self, thing: Namespace, places: Places) -> None:
        self._flows.keep(thing.namespace)
        namespaces.drop(thing, places)

    def _take(self, step: Step, places: Places) -> None:
        match step:
            case Put(thing):
                self._put[type(thing)](thing, places)
            case Drop(thing):
                # What lay in a namespace that is gone is gone with it; only files are left to remove.
                if thing.namespace == NODE or isinstance(thing, _WITH_FILES) or netns.exists(thing.namespace):
                    self._drop[type(thing)](thing, places)
            case Announce(thing):
                publics.announce(thing, places)


def _put_setting(thing: Setting, places: Places) -> None:
    place = places[thing.namespace]
    if (thing.name, thing.value) == (FORWARDING6, "1"):
        _go_on_hearing_routers(place)
    place.write(thing.name.replace(".", "/"), thing.value)


def _go_on_hearing_routers(place: Place) -> None:
    """Who forwards believes no router any more, unless told so: a link that has its default route from one keeps it. Where
    another program hears the advertisements (the kernel is told 0), nothing is changed."""
    names = ["all", "default", *(link.get_attr("IFLA_IFNAME") for link in place.ip.get_links())]
    for setting, value in place.read([f"net/ipv6/conf/{name}/accept_ra" for name in names]).items():
        if value == "1":
            place.write(setting, "2")


def _passages(node: Place) -> tuple[dict[tuple[str, str, str], bool], frozenset[Thing]]:
    chains = passages.chains(node)
    return chains, frozenset(passages.observe(node, chains))


def _namespace(place: Place, sights: Sights, rulesets: Rulesets, node: Place) -> set[Thing]:
    """A namespace of ours, with what is in it."""
    sight = sights.of(place, node)
    seen = sight.part(LINKS, lambda: links.look(place.asking))
    loopback_up = any(link.up for link in seen if link.name == "lo")
    return {namespaces.observe(place, loopback_up), *_contents(place, sight, rulesets)}


def _contents(place: Place, sight: Sight, rulesets: Rulesets) -> set[Thing]:
    """What is ours in an opened namespace: read, where it is not as it was."""
    seen = sight.part(LINKS, lambda: links.look(place.asking))
    own = sight.part(OWN_LINKS, lambda: frozenset(links.observe(place, seen)))
    vxlan_names = {link.name for link in own if link.kind is LinkKind.VXLAN}
    ours = {link.name for link in own}
    names = {link.index: link.name for link in seen if place.namespace != NODE or link.name in ours}
    vxlans = {index: name for index, name in names.items() if name in vxlan_names}
    found: set[Thing] = set(own)
    found |= sight.of_generation("rules", netlink.generation(place.netns), lambda: frozenset(rulesets.observe(place)))
    found |= sight.part(OWN_ADDRESSES, lambda: frozenset(routes.observe_addresses(place, names)))
    routed = sight.part(ROUTES, lambda: routes.look(place.asking))
    found |= sight.part(OWN_ROUTES, lambda: frozenset(routes.observe_routes(place, names, routed)))
    if place.namespace != NODE:
        found |= sight.part(SOURCES, lambda: frozenset(routes.observe_source_rules(place)))
    found |= sight.part(NEIGHBOURS, lambda: frozenset(routes.observe_neighbours(place, names)))
    found |= sight.part(FORWARDING, lambda: frozenset(routes.observe_forwarding(place, vxlans)))
    return found
