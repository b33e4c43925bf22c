"""What a host lacks is told in words before anything is compiled; what it has is found."""

from __future__ import annotations

import glob
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from zfstop.errors import Exit, UserError
from zfstop.kernel import host


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No choice by the user, no bcc in this Python, none in the distribution's."""
    monkeypatch.delenv("ZFSTOP_BCC_PYTHON", raising=False)
    monkeypatch.setattr(host, "_distribution_pythons", list)
    monkeypatch.setattr(host, "_own_bcc", lambda: "none")
    return monkeypatch


def fails(call: Any, status: Exit, *words: str) -> UserError:
    with pytest.raises(UserError) as caught:
        call()
    error = caught.value
    assert error.status == status
    assert error.remedy
    assert all(word in "\n".join(error.lines()) for word in words), error.lines()
    return error


def executable(place: Path) -> str:
    place.write_text("#!/bin/sh\n")
    place.chmod(0o755)
    return str(place)


# Which Python has bcc.


def test_the_chosen_python_comes_first_and_alone(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = executable(tmp_path / "python3")
    bare.setenv("ZFSTOP_BCC_PYTHON", chosen)
    bare.setattr(host, "_own_bcc", lambda: "real")
    bare.setattr(host, "_distribution_pythons", lambda: ["/usr/bin/python3"])
    assert host.bcc_pythons() == [chosen]


def test_a_relative_choice_is_found_from_any_directory(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    executable(tmp_path / "python3")
    bare.chdir(tmp_path)
    bare.setenv("ZFSTOP_BCC_PYTHON", "./python3")
    assert host.bcc_pythons() == [str(tmp_path / "python3")]


@pytest.mark.parametrize("choice", ["missing", "folder", "plain", "\x1b[31mred"])
def test_a_choice_that_cannot_be_run_is_refused(
    bare: pytest.MonkeyPatch, tmp_path: Path, choice: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_text("")
    bare.setenv("ZFSTOP_BCC_PYTHON", str(tmp_path / choice))
    error = fails(host.bcc_pythons, Exit.NO_BCC, "ZFSTOP_BCC_PYTHON=", "cannot be run")
    assert error.sentence.isprintable()


def test_this_python_comes_before_the_distributions(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(host, "_own_bcc", lambda: "real")
    bare.setattr(host, "_distribution_pythons", lambda: [sys.executable, "/usr/bin/python3"])
    assert host.bcc_pythons() == [sys.executable, "/usr/bin/python3"]


def test_without_any_the_command_to_install_it_is_told(bare: pytest.MonkeyPatch) -> None:
    fails(host.bcc_pythons, Exit.NO_BCC, "not on PyPI", "install")


def test_the_other_package_of_that_name_is_told_apart(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(host, "_own_bcc", lambda: "other")
    fails(host.bcc_pythons, Exit.NO_BCC, "PyPI", "pip uninstall bcc")
    bare.setattr(host, "_distribution_pythons", lambda: ["/usr/bin/python3"])
    assert host.bcc_pythons() == ["/usr/bin/python3"], "it does no harm while the real one is there"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (("bcc/__init__.py", "bcc/libbcc.py"), "real"),
        (("bcc/__init__.py", "bcc/compiler.py"), "other"),
        (("bcc.py",), "other"),
        ((), "none"),
    ],
)
def test_the_real_bcc_is_known_by_its_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: tuple[str, ...], kind: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('must not be imported to be told apart')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "bcc", raising=False)
    assert host._own_bcc() == kind


# Kernel and privileges.


def pretend(monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """Small files that host.read() finds, by the last part of their name."""
    monkeypatch.setattr(host, "read", lambda path: files.get(os.path.basename(path), ""))


@pytest.mark.parametrize(
    ("caps", "enough"),
    [
        (1 << 21, True),
        (1 << 38 | 1 << 39, False),
        (2**41 - 1, True),
        (1 << 38, False),
        (1 << 39, False),
        (0, False),
    ],
)
def test_capabilities_decide_not_the_user(monkeypatch: pytest.MonkeyPatch, caps: int, enough: bool) -> None:
    pretend(monkeypatch, status=f"Name:\tx\nCapEff:\t{caps:016x}\n")
    for uid in (0, 1000):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        if enough:
            host.require_privileges()
        else:
            fails(host.require_privileges, Exit.NOT_ROOT, "CAP_SYS_ADMIN", "sudo" if uid else "container")


def test_sudo_is_told_with_a_command_that_works_outside_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["venv/bin/zfstop"])
    assert host.own_command() == os.path.abspath("venv/bin/zfstop")
    monkeypatch.setattr(sys, "argv", ["zfstop/__main__.py"])
    assert host.own_command() == f"{sys.executable} -m zfstop"


def test_lockdown_that_forbids_tracing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lockdown="none integrity [confidentiality]")
    fails(host.require_kernel, Exit.LOCKDOWN, "confidentiality", "lockdown=integrity")


@pytest.mark.parametrize(
    "lockdown", ["none [integrity] confidentiality", "[none] integrity confidentiality", ""]
)
def test_other_lockdown_is_no_trouble(monkeypatch: pytest.MonkeyPatch, lockdown: str) -> None:
    pretend(monkeypatch, lockdown=lockdown)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    host.require_kernel()


def test_a_kernel_without_kprobes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    fails(host.require_kernel, Exit.NO_KPROBES, "kprobes", "--demo")


def existing(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    """Only paths that hold one of ``parts`` are there."""
    monkeypatch.setattr(os.path, "exists", lambda path: any(part in path for part in parts))
    monkeypatch.setattr(glob, "glob", lambda pattern: [p for p in parts if p in pattern])


def test_types_come_from_btf_else_from_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZFSTOP_BTF", raising=False)
    existing(monkeypatch, "/sys/kernel/btf/vmlinux", "build/include")
    assert host.needs_headers() is False
    monkeypatch.setenv("ZFSTOP_BTF", "")
    assert host.needs_headers() is True
    monkeypatch.delenv("ZFSTOP_BTF")
    for place in ("build/include", "source/include", "kheaders.tar.xz"):
        existing(monkeypatch, place)
        assert host.needs_headers() is True


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=debian", "apt-get install linux-headers-"),
        ('ID=ubuntu\nID_LIKE="debian"', "apt-get install linux-headers-"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "dnf install kernel-devel-"),
        ("ID=arch", "pacman -S linux-headers"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "zypper install"),
        ("", "apt-get install linux-headers-"),
    ],
)
def test_without_either_the_distributions_command_is_told(
    monkeypatch: pytest.MonkeyPatch, release: str, command: str
) -> None:
    existing(monkeypatch)
    pretend(monkeypatch, **{"os-release": release})
    fails(host.needs_headers, Exit.NO_BTF, "BTF", "headers", command)
    assert host.bcc_command().split()[0] == command.split()[0]


def test_what_cannot_be_read_becomes_a_note_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    existing(monkeypatch)
    monkeypatch.setattr(host, "preemptible", lambda: False)
    monkeypatch.setattr(Path, "read_text", unreadable)
    facts, notes = host.facts()
    assert (facts.module_btf, facts.blacklist) == (False, None)
    assert len(notes) == 2
    assert any("mount -t tracefs" in note for note in notes)


def unreadable(*arguments: object, **options: object) -> str:
    raise PermissionError(13, "Permission denied")


def test_the_blacklist_is_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "0xffffffff81000000-0xffffffff81000010\tzpl_open [zfs]\n0x0000-0x0000\tdo_int3\n\n"
    monkeypatch.setattr(Path, "read_text", lambda *a, **o: text)
    assert host.facts()[0].blacklist == frozenset({"zpl_open", "do_int3"})


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ("kprobe", ("kprobe",)),
        ("fentry,kprobe", ("fentry", "kprobe")),
        ("", ()),
        ("x,kprobe;rm", ()),
        (None, ("fentry", "kprobe")),
    ],
)
def test_the_ways_to_attach_are_known_words(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, kinds: tuple[str, ...]
) -> None:
    monkeypatch.setattr(host, "preemptible", lambda: False)
    if asked is None:
        monkeypatch.delenv("ZFSTOP_ATTACH", raising=False)
    else:
        monkeypatch.setenv("ZFSTOP_ATTACH", asked)
    assert host.facts()[0].kinds == kinds


# ZFS.


def test_without_the_module_the_command_to_load_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "zfs_fuse_serves", lambda: False)
    assert (host.no_zfs().status, host.no_zfs().remedy) == (Exit.NO_ZFS, "modprobe zfs")
    monkeypatch.setattr(host, "zfs_fuse_serves", lambda: True)
    assert "zfs-fuse" in host.no_zfs().sentence


def test_the_identity_changes_with_the_module_and_not_with_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "zfs"
    monkeypatch.setattr(host, "_ZFS_MODULE", str(place))
    assert host.zfs_identity() is None
    assert not host.zfs_loaded()
    place.mkdir()
    first = host.zfs_identity()
    assert first is not None
    os.utime(place, (1, 1))
    (place / "refcnt").write_text("1")
    assert host.zfs_identity() == first, "sysfs gives times of its own to a directory it read anew"
    (tmp_path / "other").mkdir()
    place.rename(tmp_path / "old")
    (tmp_path / "other").rename(place)
    assert host.zfs_identity() != first


def test_a_host_is_described_also_without_zfs() -> None:
    found = host.describe()
    assert found.kernel == os.uname().release
    assert found.zfs
    assert found.name.isprintable()


def test_a_symbol_table_that_cannot_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", unreadable)
    fails(host.kallsyms, Exit.NO_PROBE, "/proc/kallsyms", "mount -t proc")


@pytest.mark.parametrize(
    ("mode", "version", "answer"),
    [
        ("none voluntary full (lazy)", "", True),
        ("none voluntary (full)", "", True),
        ("none (voluntary) full lazy", "#1 SMP PREEMPT_DYNAMIC", False),
        ("(none) voluntary full", "#1 SMP PREEMPT_DYNAMIC", False),
        ("", "#1 SMP PREEMPT_DYNAMIC Debian", True),
        ("", "#1 SMP PREEMPT_RT", True),
        ("", "#1 SMP Debian 6.1", False),
    ],
)
def test_a_kernel_that_interrupts_its_own_work_is_known(
    monkeypatch: pytest.MonkeyPatch, mode: str, version: str, answer: bool
) -> None:
    monkeypatch.setattr(host, "read", lambda path: mode)
    monkeypatch.setattr(host.platform, "version", lambda: version)
    assert host.preemptible() is answer


def test_on_a_kernel_that_interrupts_its_own_work_kprobes_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZFSTOP_ATTACH", raising=False)
    monkeypatch.setattr(host, "preemptible", lambda: True)
    facts, notes = host.facts()
    assert facts.kinds == ("kprobe", "fentry")
    assert any("kprobe pairs come first" in note for note in notes)
