"""`LinuxNetwork`: the verbs over the kernel. Everything blocking happens in one worker thread, one activity at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import AF_INET
from typing import Any, TypeVar

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.base import Capabilities, StepFailed
from eucapy.drivers.network.linux import links, namespaces, passages, publics, routes, rulesets
from eucapy.drivers.network.linux.events import LinkEvents
from eucapy.drivers.network.linux.places import Place, Places
from eucapy.drivers.network.linux.resolvers import Resolvers
from eucapy.drivers.network.model import (
    NODE,
    Address,
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

NODE_SETTINGS = ("net.ipv4.ip_forward",)
"""The settings of the node's own namespace that are ours to see."""


class LinuxNetwork:
    """Namespaces whose names begin with `prefix` are ours; the resolvers' files are under `folder`.

    The node's namespace is the one named `home`, or the one that this process runs in.
    """

    def __init__(self, *, prefix: str, folder: Path, home: str = "") -> None:
        self._prefix = prefix
        self._home = home
        self._resolvers = Resolvers(folder)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._events: LinkEvents | None = None
        self._put: dict[type, Callable[[Any, Places], None]] = {
            Namespace: namespaces.put,
            Setting: _put_setting,
            Ruleset: rulesets.put,
            Link: links.put,
            Neighbour: routes.put_neighbour,
            Forwarding: routes.put_forwarding,
            Address: routes.put_address,
            Route: routes.put_route,
            SourceRule: routes.put_source_rule,
            PublicAddress: publics.put,
            Passage: passages.put,
            Resolver: lambda thing, places: self._resolvers.put(thing),
        }
        self._drop: dict[type, Callable[[Any, Places], None]] = {
            Namespace: namespaces.drop,
            Setting: lambda thing, places: None,  # who else relies on it cannot be known
            Ruleset: rulesets.drop,
            Link: links.drop,
            Neighbour: routes.drop_neighbour,
            Forwarding: routes.drop_forwarding,
            Address: routes.drop_address,
            Route: routes.drop_route,
            SourceRule: routes.drop_source_rule,
            PublicAddress: publics.drop,
            Passage: passages.drop,
            Resolver: lambda thing, places: self._resolvers.drop(thing),
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

    def watch(self, wake: Callable[[], None]) -> None:
        self._events = LinkEvents(wake, self._home)

    async def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
        await asyncio.to_thread(self._worker.shutdown)

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
        waiting: frozenset[str] = frozenset()
        mtus: dict[str, int] = {}
        with Places(self._prefix, self._home) as places:
            node = places.node
            messages = list(node.ip.link("dump"))
            waiting = frozenset(m.get_attr("IFLA_IFNAME") for m in messages if links.is_tap(m))
            all_names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in messages}
            mtu_of = {m["index"]: m.get_attr("IFLA_MTU") for m in messages}
            for message in node.ip.get_addr(family=AF_INET):
                mtus[message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")] = mtu_of.get(message["index"], 0)
            for name, value in node.read([name.replace(".", "/") for name in NODE_SETTINGS]).items():
                things.add(Setting(namespace=NODE, name=name.replace("/", "."), value=value))
            things |= set(_contents(node, messages))
            things |= publics.observe(node, all_names, routes.others(node, things))
            forward_chains = passages.chains(node)
            barriers = frozenset(chain for chain, drops in forward_chains.items() if drops)
            things |= set(passages.observe(node, forward_chains))
            for name in netns.of_vpcs(self._prefix):
                try:
                    place = places[name]
                    found = {namespaces.observe(place), *_contents(place, list(place.ip.link("dump")))}
                except (OSError, NetlinkError, LookupError) as error:
                    broken[name] = str(error)
                    continue
                finally:
                    places.forget(name)
                things |= found
            things |= set(self._resolvers.observe(self._prefix))
        return Observed(things=frozenset(things), waiting_taps=waiting, mtus=mtus, barriers=barriers, broken=broken)

    def _apply(self, steps: Sequence[Step]) -> None:
        with Places(self._prefix, self._home) as places:
            for step in steps:
                try:
                    self._take(step, places)
                except (OSError, NetlinkError, LookupError, RunError) as error:
                    raise StepFailed(step, str(error)) from error

    def _take(self, step: Step, places: Places) -> None:
        match step:
            case Put(thing):
                self._put[type(thing)](thing, places)
            case Drop(thing):
                # What lay in a namespace that is gone is gone with it; only files are left to remove.
                if thing.namespace == NODE or isinstance(thing, Resolver) or netns.exists(thing.namespace):
                    self._drop[type(thing)](thing, places)
            case Announce(thing):
                publics.announce(thing, places)


def _put_setting(thing: Setting, places: Places) -> None:
    places[thing.namespace].write(thing.name.replace(".", "/"), thing.value)


def _contents(place: Place, messages: list[Any]) -> set[Thing]:
    """What is ours in an opened namespace."""
    found: set[Thing] = set(links.observe(place, messages))
    ours = {thing.name for thing in found if isinstance(thing, Link)}
    vxlan_names = {thing.name for thing in found if isinstance(thing, Link) and thing.kind is LinkKind.VXLAN}
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in messages}
    if place.namespace == NODE:
        names = {index: name for index, name in names.items() if name in ours}
    vxlans = {index: name for index, name in names.items() if name in vxlan_names}
    found |= set(rulesets.observe(place))
    found |= set(routes.observe_addresses(place, names))
    found |= set(routes.observe_routes(place, names))
    if place.namespace != NODE:
        found |= set(routes.observe_source_rules(place))
    found |= set(routes.observe_neighbours(place, names))
    found |= set(routes.observe_forwarding(place, vxlans))
    return found
