"""A cgroup's path to the one it belongs to, as an administrator would name it. Pure.

====================================  ==========================================================================
``postgresql.service``                a unit of systemd, as ``systemctl`` takes it
``docker:3f9a1c2b4d5e``               a container, by as much of its id as its runtime lists; likewise ``podman:``,
                                      ``crio:``, ``containerd:``; ``conmon:`` is what watches over one
``lxc:web1``, ``nspawn:web1``         a container with a name
``pod:6ed1f3a0/3f9a1c2b4d5e``         a container of a Kubernetes pod, after the first 8 digits of the pod's uid
``vm:win11``, ``vm:101``              a virtual machine of libvirt, or of Proxmox by its number
``user:1000``                         whatever a user runs in a session
``user:1000/podman:3f9a1c2b4d5e``     the outermost owner, and the innermost one within it
``/batch/job7``                       the path of a cgroup that nobody known has made
(nothing)                             the root: kernel threads, and hosts whose work is not in cgroups
====================================  ==========================================================================

The outermost owner comes first because what it owns it also names: a user, a container or a service with a delegated
cgroup can call one below it ``docker-...scope``, but nothing above.
"""

from __future__ import annotations

import re

from zfstop.text import visible

_SHORT_ID = 12
_SHORT_UID = 8
_ID = "(?P<id>[0-9a-f]{64})"
_UID = "(?P<uid>[0-9a-f]{8}([-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})"
#: What runtimes call themselves in a cgroup, where their users know them by another name.
_RUNTIMES = {
    "libpod": "podman",
    "libpod-payload": "podman",
    "libpod-conmon": "conmon",
    "crio-conmon": "conmon",
    "cri-containerd": "containerd",
}
_CONTAINER = re.compile(rf"(?P<runtime>.+)[-:]{_ID}(\.scope)?")
#: pod6ed1f3a0-..., kubepods-burstable-pod6ed1f3a0_....slice, and the latter with ":cri-containerd:ID" behind it.
_POD = re.compile(rf"(kube.*-)?pod{_UID}(\.slice)?(?P<inside>:.+)?")
_LXC = re.compile(r"lxc\.(?P<part>payload|monitor)\.(?P<name>.+)")
_USER = re.compile(r"user-(?P<uid>\d+)\.slice")
_MACHINE = re.compile(r"machine-(?P<name>.+)\.scope")
_LIBVIRT = re.compile(r"(?P<driver>qemu|lxc)-\d+-(?P<name>.+)")
_LIBVIRT_ALONE = re.compile(r"(?P<name>.+)\.libvirt-(?P<driver>qemu|lxc)")
_SPAWN = re.compile(r"systemd-(?P<kind>nspawn|vmspawn)@(?P<name>.+)\.service")
_UNIT = re.compile(r".+\.(service|scope|socket|mount|swap)")
_LOGIN = re.compile(r"session-.+\.scope|user@\d+\.service")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_KINDS = {
    "qemu": "vm",
    "lxc": "lxc",
    "vmspawn": "vm",
    "nspawn": "nspawn",
    "payload": "lxc",
    "monitor": "lxc.monitor",
}
#: Directories at the top of a host or container that hold one for each container, called by its bare name.
_OF_NAMES = {"lxc": "lxc", "lxc.payload": "lxc", "lxc.monitor": "lxc.monitor"}
#: Directories that LXC and podman put between a container and its own tree.
_INNER_TOPS = frozenset({"ns", ".lxc", "container"})


def owner(path: str) -> str:
    """The owner of the cgroup at ``path`` (absolute in its hierarchy; odd bytes as surrogates), safe to show."""
    parts = [part for part in path.split("/") if part]
    found: list[str] = []
    above, above_is_top, is_top = "", False, True
    for part in parts:
        name = _owner(part, above, above_is_top)
        if name and name.startswith("/"):
            found[-1] += name
        elif name or _is_unit(part, found):
            found.append(
                name or part.removeprefix("_")
            )  # systemd's guard against names of the kernel's files
        above, above_is_top = part, is_top
        is_top = bool(name) or (is_top and part in _INNER_TOPS)
    if not found:
        return visible(path) if parts else ""
    return visible(found[0] if len(found) == 1 else f"{found[0]}/{found[-1]}")


def _owner(part: str, above: str, above_is_top: bool) -> str:
    """What a directory below ``above`` stands for, units aside; with a leading ``/`` it belongs to the one above."""
    if above == "user.slice" and (user := _USER.fullmatch(part)):
        return f"user:{user['uid']}"
    if above == "qemu.slice" and part.endswith(".scope"):
        return f"vm:{part.removesuffix('.scope')}"
    if above_is_top and above in _OF_NAMES:
        return f"{_OF_NAMES[above]}:{part}"
    return _pod(part) or _container(part, above) or _machine(part)


def _pod(part: str) -> str:
    pod = _POD.fullmatch(part)
    if pod is None:
        return ""
    return f"pod:{pod['uid'][:_SHORT_UID]}" + (_container(pod["inside"][1:], part) if pod["inside"] else "")


def _container(part: str, above: str) -> str:
    if container := _CONTAINER.fullmatch(part):
        kind = _RUNTIMES.get(container["runtime"], container["runtime"])
    elif container := re.fullmatch(_ID, part):
        kind = "docker" if above == "docker" else "container"
    else:
        return ""
    short = container["id"][:_SHORT_ID]
    if _POD.fullmatch(above):
        return f"/conmon:{short}" if kind == "conmon" else f"/{short}"
    return f"{kind}:{short}"


def _machine(part: str) -> str:
    if found := _LXC.fullmatch(part):
        return f"{_KINDS[found['part']]}:{found['name']}"
    if found := _SPAWN.fullmatch(part):
        return f"{_KINDS[found['kind']]}:{_unescaped(found['name'])}"
    if found := _LIBVIRT_ALONE.fullmatch(part):
        numbered = _LIBVIRT.fullmatch(found["name"])
        return f"{_KINDS[found['driver']]}:{(numbered or found)['name']}"
    if found := _MACHINE.fullmatch(part):
        name = _unescaped(found["name"])
        registered = _LIBVIRT.fullmatch(name)
        return f"{_KINDS[registered['driver']]}:{registered['name']}" if registered else f"machine:{name}"
    return ""


def _is_unit(part: str, found: list[str]) -> bool:
    """Whether it is a unit worth a name: not a login's, nor the init of a container."""
    if part == "init.scope":
        return not found
    of_login = bool(found) and found[-1].startswith("user:") and _LOGIN.fullmatch(part)
    return _UNIT.fullmatch(part) is not None and not of_login


def _unescaped(name: str) -> str:
    """``my\\x2dvm`` -> ``my-vm``: systemd's escapes in the part of a unit's name that is a name of its own."""
    raw = name.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), raw).decode("utf-8", "surrogateescape")
