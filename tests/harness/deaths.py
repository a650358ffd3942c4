"""Death at a chosen step: the cloud's processes end, all at once, right after the n-th thing that they changed anywhere.

What changes something is a commit of the database, a spec that an agent accepted, a note in a node's records, a verb of a
hypervisor, of a block pool, of an archive, of the tool that makes disks, of a network. Between two of them nothing can be
lost that was not there, so that dying after each of them in turn is dying everywhere.

    deaths = Deaths(cloud)
    with deaths.after(7):
        ec2.run_instances(...)          # may be cut off
        cloud.settle()                  # may be cut off
    deaths.happened                     # False: there were fewer than 7 steps
    cloud.reboot()
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import HTTPClientError

from tests.harness.cloud import Cloud

HYPERVISOR = (
    "ensure_defined", "start", "shutdown", "destroy", "reboot", "resume", "undefine", "attach_disk", "detach_disk",
    "attach_nic", "detach_nic", "resize_disk", "copy_disk",
)  # fmt: skip
BLOCK = (
    "ensure_volume", "grow", "remove_volume", "ensure_snapshot", "copy_snapshot", "import_snapshot", "put_block",
    "seal_snapshot", "remove_snapshot", "ensure_export", "remove_export",
)  # fmt: skip


class Death(BaseException):
    """No handler of the product catches it, and once it came no step is taken any more."""


class Deaths:
    """The steps of one life of a cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.steps: list[str] = []
        """What was done in this life, in order; the last one is the one that was died after."""
        self.happened = False
        self._limit = 0
        self._watched: list[tuple[Any, str]] = []

    @contextmanager
    def after(self, number: int) -> Iterator[None]:
        """In this block the cloud dies after its `number`-th step from now; the block then ends there, quietly."""
        self.steps, self.happened, self._limit = [], False, number
        self._watch()
        try:
            yield
        except (Death, HTTPClientError):
            if not self.happened:
                raise
        if not self.happened:
            self._let_live()

    def _watch(self) -> None:
        dev = self._cloud.dev
        self._every(dev.database, "write", label="commit")
        for zone in dev.zones.values():
            self._every(zone.cluster, "put_spec", label="cc spec")
            self._every(zone.storage, "put_spec", label="sc spec")
            self._every(zone.block, *BLOCK)
            archives = zone.storage._executor.archives
            if archives is not None:
                self._every(archives._archive._store, "put", "remove", label="archive")
            for node in zone.nodes.values():
                self._every(node.nc, "put_spec", label="nc spec")
                self._every(node.eucanetd, "put_spec", label="eucanetd spec")
                self._every(node.hypervisor, *HYPERVISOR)
                self._every(node.network, "apply", label="network")
                self._every(node.nc._executor._imaging, "overlay", "empty", "flatten")
                self._every(node.proxies, "ensure", "refresh", "remove")
                self._every(node.nc._records, "put", "remove", label="note")

    def _every(self, what: Any, *names: str, label: str = "") -> None:
        for name in names:
            verb = getattr(what, name)
            setattr(what, name, self._mortal(verb, label or name))
            self._watched.append((what, name))

    def _let_live(self) -> None:
        """Only a cloud that lives on is let go of: one that died takes no step until it is started anew."""
        for what, name in self._watched:
            delattr(what, name)
        self._watched = []

    def _mortal(self, verb: Callable[..., Any], name: str) -> Any:
        if inspect.iscoroutinefunction(verb):

            @functools.wraps(verb)
            async def later(*given: Any, **named: Any) -> Any:
                self._before()
                result = await verb(*given, **named)
                self._after(name, result)
                return result

            return later

        @functools.wraps(verb)
        def now(*given: Any, **named: Any) -> Any:
            self._before()
            result = verb(*given, **named)
            self._after(name, result)
            return result

        return now

    def _before(self) -> None:
        if self.happened:
            raise Death

    def _after(self, name: str, result: object) -> None:
        if self.happened:
            raise Death
        if name == "commit" and result is False:
            return  # a loop that found nothing to change
        self.steps.append(name)
        if len(self.steps) == self._limit:
            self.happened = True
            raise Death
