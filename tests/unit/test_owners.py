"""A cgroup's path tells its owner as administrators call it, and nobody below can take another's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.zfs.owners import owner

ID = "3f9a1c2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8"
ID2 = "b" * 64
UID = "6ed1f3a0-1b2c-4d5e-8f90-a1b2c3d4e5f6"
UID_ = UID.replace("-", "_")
STATIC = "0c62b5b6d8f54f3cb1a7e2d3c4b5a697"
KUBE = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice"
HOME = "/user.slice/user-1000.slice/user@1000.service"

PATHS = {
    # systemd
    "/": "",
    "": "",
    "/init.scope": "init.scope",
    "/system.slice/postgresql.service": "postgresql.service",
    "/system.slice/system-postgresql.slice/postgresql@15-main.service": "postgresql@15-main.service",
    "/system.slice/system-getty.slice/getty@tty1.service": "getty@tty1.service",
    "/system.slice/run-r8a1.scope": "run-r8a1.scope",
    "/system.slice/systemd-udevd.service/udev": "systemd-udevd.service",
    "/system.slice/_memory.service": "memory.service",
    r"/system.slice/systemd-fsck@dev-disk-by\x2duuid-AB.service": r"systemd-fsck@dev-disk-by\x2duuid-AB.service",
    "/system.slice/srv-data.mount": "srv-data.mount",
    "/user.slice/user-1000.slice/session-3.scope": "user:1000",
    "/user.slice/user-1000.slice/session-c1.scope": "user:1000",
    f"{HOME}/init.scope": "user:1000",
    f"{HOME}/app.slice/syncthing.service": "user:1000/syncthing.service",
    rf"{HOME}/app.slice/app-gnome\x2dterminal-811.scope": r"user:1000/app-gnome\x2dterminal-811.scope",
    # docker
    f"/system.slice/docker-{ID}.scope": "docker:3f9a1c2b4d5e",
    f"/docker/{ID}": "docker:3f9a1c2b4d5e",
    f"/docker/{ID}/init.scope": "docker:3f9a1c2b4d5e",
    f"/system.slice/docker-{ID}.scope/system.slice/nginx.service": "docker:3f9a1c2b4d5e/nginx.service",
    f"/docker/{ID}/docker/{ID2}": "docker:3f9a1c2b4d5e/docker:bbbbbbbbbbbb",
    f"{HOME}/user.slice/docker-{ID}.scope": "user:1000/docker:3f9a1c2b4d5e",
    f"/ecs/0b7d9f/{ID}": "container:3f9a1c2b4d5e",
    # podman
    f"/machine.slice/libpod-{ID}.scope": "podman:3f9a1c2b4d5e",
    f"/machine.slice/libpod-{ID}.scope/container": "podman:3f9a1c2b4d5e",
    f"/machine.slice/libpod-{ID}.scope/container/system.slice/httpd.service": "podman:3f9a1c2b4d5e/httpd.service",
    f"/machine.slice/libpod-conmon-{ID}.scope": "conmon:3f9a1c2b4d5e",
    f"/machine.slice/machine-libpod_pod_{ID2}.slice/libpod-{ID}.scope/container": "podman:3f9a1c2b4d5e",
    f"/libpod_parent/libpod-{ID}": "podman:3f9a1c2b4d5e",
    f"/system.slice/web.service/libpod-payload-{ID}": "web.service/podman:3f9a1c2b4d5e",
    f"{HOME}/user.slice/libpod-{ID}.scope/container": "user:1000/podman:3f9a1c2b4d5e",
    f"{HOME}/app.slice/web.service/libpod-payload-{ID}": "user:1000/podman:3f9a1c2b4d5e",
    # containerd without Kubernetes
    f"/system.slice/nerdctl-{ID}.scope": "nerdctl:3f9a1c2b4d5e",
    f"/default/{ID}": "container:3f9a1c2b4d5e",
    # Kubernetes: containerd, cri-o, cri-dockerd; systemd and cgroupfs; the three classes; kind
    f"/{KUBE}/cri-containerd-{ID}.scope": "pod:6ed1f3a0/3f9a1c2b4d5e",
    f"/{KUBE}/crio-{ID}.scope": "pod:6ed1f3a0/3f9a1c2b4d5e",
    f"/{KUBE}/crio-{ID}.scope/container": "pod:6ed1f3a0/3f9a1c2b4d5e",
    f"/{KUBE}/crio-conmon-{ID}.scope": "pod:6ed1f3a0/conmon:3f9a1c2b4d5e",
    f"/{KUBE}/docker-{ID}.scope": "pod:6ed1f3a0/3f9a1c2b4d5e",
    f"/{KUBE}": "pod:6ed1f3a0",
    f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope": "pod:6ed1f3a0/3f9a1c2b4d5e",
    f"/kubepods/besteffort/pod{UID}/{ID}": "pod:6ed1f3a0/3f9a1c2b4d5e",
    f"/kubepods/pod{STATIC}/{ID}": "pod:0c62b5b6/3f9a1c2b4d5e",
    f"/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}": (
        "containerd.service/pod:6ed1f3a0/3f9a1c2b4d5e"
    ),
    f"/system.slice/docker-{ID2}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice"
    f"/kubelet-kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope": (
        "docker:bbbbbbbbbbbb/pod:6ed1f3a0/3f9a1c2b4d5e"
    ),
    f"/docker/{ID2}/kubelet/kubepods/burstable/pod{UID}/{ID}": "docker:bbbbbbbbbbbb/pod:6ed1f3a0/3f9a1c2b4d5e",
    # LXC, Incus, Proxmox
    "/lxc.payload.web1": "lxc:web1",
    "/lxc.payload.web1/system.slice/nginx.service": "lxc:web1/nginx.service",
    "/lxc.payload.web1/init.scope": "lxc:web1",
    "/lxc.payload.shop_web1/user.slice/user-0.slice/session-1.scope": "lxc:shop_web1/user:0",
    "/lxc.monitor.web1": "lxc.monitor:web1",
    "/lxc.payload/web1/system.slice/nginx.service": "lxc:web1/nginx.service",
    "/lxc/web1": "lxc:web1",
    "/lxc/101/ns/system.slice/cron.service": "lxc:101/cron.service",
    f"/lxc/101/ns/system.slice/docker-{ID}.scope": "lxc:101/docker:3f9a1c2b4d5e",
    "/lxc/101/ns/lxc/7/ns/init.scope": "lxc:101/lxc:7",
    "/lxc.monitor/101": "lxc.monitor:101",
    f"{HOME}/app.slice/lxc-c1.scope/lxc.payload.c1": "user:1000/lxc:c1",
    "/lxc": "/lxc",
    "/batch/lxc/build": "/batch/lxc/build",
    # virtual machines and systemd's containers
    r"/machine.slice/machine-qemu\x2d1\x2dwin11.scope/libvirt/emulator": "vm:win11",
    r"/machine.slice/machine-qemu\x2d12\x2dmy\x2ddb\x2d2.scope/libvirt/vcpu0": "vm:my-db-2",
    r"/machine.slice/machine-lxc\x2d4\x2dbox.scope": "lxc:box",
    "/machine/win11.libvirt-qemu/emulator": "vm:win11",
    "/machine/qemu-3-win11.libvirt-qemu/vcpu1": "vm:win11",
    "/qemu.slice/101.scope": "vm:101",
    r"/machine.slice/systemd-nspawn@my\x2dweb.service/payload/system.slice/a.service": "nspawn:my-web/a.service",
    "/machine.slice/systemd-nspawn@web.service/supervisor": "nspawn:web",
    "/machine.slice/systemd-vmspawn@win.service": "vm:win",
    "/machine.slice/machine-web.scope": "machine:web",
    # by hand
    "/batch/job7": "/batch/job7",
    "/system.slice": "/system.slice",
    f"/kubepods.slice/kubepods-pod{UID_[:-1]}.slice": f"/kubepods.slice/kubepods-pod{UID_[:-1]}.slice",
    f"/docker/{ID[:-1]}": f"/docker/{ID[:-1]}",
    # names made to do harm
    "/lxc.payload.\x1b[31mred": r"lxc:\x1b[31mred",
    r"/machine.slice/machine-qemu\x2d1\x2d\x1b\x5b31m.scope": r"vm:\x1b[31m",
    r"/machine.slice/machine-qemu\x2d1\x2d\xc3\xa9\xff.scope": "vm:é\\xff",
    "/job\n\udcff": r"/job\x0a\xff",
    "/job\u202egpj": r"/job\u202egpj",
}  # fmt: skip


@pytest.mark.parametrize(("path", "name"), PATHS.items())
def test_the_owner_is_named_as_administrators_name_it(path: str, name: str) -> None:
    assert owner(path) == name


odd = st.text(st.characters(codec=None), min_size=1, max_size=12).map(lambda text: text.replace("/", "-"))
known = st.sampled_from(sorted({part for path in PATHS for part in path.split("/") if part}))
paths = st.lists(known | odd, max_size=6).map(lambda parts: "/" + "/".join(parts))
OWNED = (
    HOME,
    f"/system.slice/docker-{ID}.scope",
    "/lxc.payload.web1",
    "/lxc/101/ns",
    f"/{KUBE}",
    "/qemu.slice/101.scope",
    "/system.slice/web.service",
    "/machine.slice/systemd-nspawn@web.service/payload",
)


@given(paths)
def test_whatever_the_path_the_owner_is_one_harmless_word(path: str) -> None:
    assert owner(path).isprintable()


@given(st.sampled_from(OWNED), paths)
def test_what_is_below_an_owner_never_passes_for_anothers(above: str, below: str) -> None:
    name = owner(above)
    assert owner(above + below) == name or owner(above + below).startswith(f"{name}/")
