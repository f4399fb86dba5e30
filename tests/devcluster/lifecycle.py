"""Bringing a cluster up layer by layer, and taking it down in the reverse order."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

from devcluster import (
    commands,
    control_plane,
    gateway,
    kubeconfig,
    kwok,
    node,
    object_store,
    processes,
    reservation,
    versions,
)
from devcluster import plan as plans
from devcluster.binaries import ensure_binaries
from devcluster.certificates import ensure_certificates
from devcluster.errors import DevclusterError, PrerequisiteError
from devcluster.leftovers import leftovers
from devcluster.locks import locked
from devcluster.paths import cluster_directory, clusters_directory
from devcluster.plan import Plan
from devcluster.progress import Say


def up(
    name: str, *, real_node: bool | None, fake_nodes: int, audit: bool, with_gateway: bool = False, say: Say
) -> tuple[Plan, Path]:
    """Start whatever of the cluster does not run; returns its plan and the directory of the programs.

    `real_node` None means: if this machine allows it. A cluster never loses a layer by `up`. Its Kubernetes is that
    of `versions.chosen`; a cluster of another is refused.
    """
    minor = versions.chosen()
    release = versions.release(minor)
    known = plans.load(name)
    if known:
        reservation.require(known, release)  # like a bad name: refused before minutes of building
    binaries = ensure_binaries(minor, say)
    with _exclusive(name, say):
        plan = reservation.reserve(name, release, audit=audit, say=say)
        plan = _with_wishes(plan, real_node=real_node, fake_nodes=fake_nodes, audit=audit, say=say)
        plan = reservation.with_gateway(plan, say) if with_gateway else plan
        ensure_certificates(plan)
        kubeconfig.write_kubeconfigs(
            plan.directory, control_plane.api_url(plan), control_plane.node_api_url(plan)
        )
        control_plane.start(plan, binaries, say)
        if plan.node:
            node.start(plan, binaries, say)
        if plan.fake_nodes:
            kwok.start(plan, binaries, say)
        if plan.gateway:
            gateway.start(plan, binaries, say)
        return plan, binaries


def down(name: str, *, wipe: bool, say: Say) -> None:
    """Stop everything of the cluster, newest layer first, whatever state it is in. Harmless when nothing runs."""
    directory = cluster_directory(name)
    with _exclusive(name, say, remove=wipe or not directory.exists()):
        gateway.stop(directory)
        object_store.stop(directory)
        processes.stop(directory, "kwok")
        node.stop(directory, name, say)
        for component in reversed(control_plane.component_programs()):
            processes.stop(directory, component)
        for stray in {process.component for process in processes.marked(directory)}:
            processes.stop(directory, stray)
        if wipe:
            _wipe(directory)
        left = leftovers(directory, name)
        if left:
            raise DevclusterError(
                f"{name} left {', '.join(left)}", "Run down once more; if it stays, that is a bug"
            )
    say(f"{name} is {'gone' if wipe else 'stopped'}")


def existing() -> list[str]:
    """Names of all clusters of this user: those with a directory, and those of which only processes are left."""
    return sorted({*plans.names(), *processes.marked_below(clusters_directory())})


@contextlib.contextmanager
def _exclusive(name: str, say: Say, *, remove: bool = False) -> Iterator[None]:
    """One `up` or `down` of a cluster at a time."""
    with locked(clusters_directory() / f".{name}.lock", say=say, remove=remove):
        yield


def _with_wishes(plan: Plan, *, real_node: bool | None, fake_nodes: int, audit: bool, say: Say) -> Plan:
    runs = bool(processes.marked(plan.directory))
    if not runs and not all(map(reservation.is_free, plan.all_ports)):
        say("another program took a port of this cluster: moving to other ports")
        plan = reservation.with_new_ports(plan, say)
    if runs and plan.audit != audit:
        say("whether there is an audit log changes with the next start: take the cluster down first")
    wished = dataclasses.replace(
        plan,
        node=plan.node or _decide_node(say, wish=real_node),
        fake_nodes=max(plan.fake_nodes, fake_nodes),
        audit=plan.audit if runs else audit,
    )
    wished.save()
    return wished


def _decide_node(say: Say, *, wish: bool | None) -> bool:
    if wish is False:
        return False
    blocker = node.blocker()
    if blocker is None:
        return True
    if wish:
        raise PrerequisiteError(f"a real node is not possible here: {blocker}", "Use --no-node")
    say(f"no real node: {blocker}")
    return False


def _wipe(directory: Path) -> None:
    """Remove the files, out of the way first: `up` must never take a half-removed cluster for a whole one."""
    doomed = directory.with_name(f".{directory.name}.wiped")
    _remove(doomed)  # of an earlier `down` that was interrupted
    with contextlib.suppress(FileNotFoundError):
        directory.rename(doomed)
    _remove(doomed)


def _remove(directory: Path) -> None:
    """The node's part of the directory belongs to root."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except PermissionError:
        commands.run(commands.privileged(["rm", "-rf", "--one-file-system", str(directory)]))
