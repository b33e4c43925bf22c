"""The loader as a process: started, asked, answered, ended."""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from zfstop.errors import Exit, UserError
from zfstop.kernel import host
from zfstop.text import visible

LOADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loader.py")
#: As a module, for a script is compiled anew each time.
_RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("zfstop_loader", sys.argv[1])
loader = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = loader
spec.loader.exec_module(loader)
loader.main(int(sys.argv[2]))
"""
_TIMEOUT = 300.0


class _Failed(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Loading:
    """One loader, for one answer. It waits to be asked, and ends when this process does.

    What clang, libbcc or the verifier print goes into a temporary file and becomes part of the error.
    """

    def __init__(self, python: str) -> None:
        """Start it under ``python``. Raises UserError."""
        self.python = python
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        with theirs:
            try:
                self._process = _start(python, theirs.fileno(), self._output.fileno())
            except UserError:
                self._channel.close()
                self._output.close()
                raise

    def answer(
        self,
        to_compile: Mapping[str, Any],
        to_attach: Callable[[], Mapping[str, Any]],
        stage: Callable[[str], None],
        stopping: Callable[[], bool],
        owner: int | None = None,
    ) -> tuple[dict[str, Any], list[int]]:
        """Its last message and the descriptors, once; then it has ended. Raises UserError.

        ``to_attach`` is called while the loader begins with what it is to compile. While it lives, it keeps a copy of
        ``owner``: what it makes in tracefs has one.
        """
        try:
            self._send(to_compile, [] if owner is None else [owner])
            self._send(to_attach(), [])
            answer = self._listen(stage, stopping)
            self._wait()
            return answer
        except _Failed as failure:
            self._wait()
            self._output.seek(0)
            text = self._output.read(1 << 16).decode("utf-8", "replace")
            raise _explain(failure, text, self.python) from None
        finally:
            self.close()

    def close(self) -> None:
        """End it, if it has not; may be called twice."""
        self._channel.close()
        self._output.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _send(self, message: Mapping[str, Any], fds: list[int]) -> None:
        # A loader that has ended already may have said why.
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._channel, [json.dumps(message).encode()], fds)

    def _wait(self) -> None:
        """For its last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)

    def _listen(
        self, stage: Callable[[str], None], stopping: Callable[[], bool]
    ) -> tuple[dict[str, Any], list[int]]:
        deadline = time.monotonic() + _TIMEOUT
        fds: list[int] = []
        self._channel.settimeout(0.1)
        while True:
            if stopping():
                self._process.send_signal(signal.SIGKILL)
                raise _Failed("stopped", "stopped")
            if time.monotonic() > deadline:
                self._process.send_signal(signal.SIGKILL)
                raise _Failed("timeout", f"no answer within {_TIMEOUT:.0f} s")
            try:
                data, ancillary, _, _ = self._channel.recvmsg(
                    1 << 20, socket.CMSG_SPACE(253 * 4), socket.MSG_CMSG_CLOEXEC
                )
            except (TimeoutError, ConnectionResetError):
                # It ended before it had read everything; what it said comes next.
                continue
            if not data:
                raise _Failed("died", f"it ended with status {self._process.wait()}")
            message = json.loads(data)
            fds += _descriptors(ancillary)
            if "stage" in message:
                stage(message["stage"])
            elif "error" in message:
                raise _Failed(message["error"]["kind"], message["error"]["text"])
            elif "done" in message:
                return message["done"], fds


def _start(python: str, channel: int, output: int) -> subprocess.Popen[bytes]:
    """In a session of its own: a Ctrl+C at the terminal is for the screen to handle."""
    try:
        return subprocess.Popen(
            [python, "-I", "-B", "-c", _RUN, LOADER, str(channel)],
            pass_fds=[channel],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    except OSError as failure:
        raise UserError(
            Exit.NO_BCC, f"{visible(python)} cannot be run ({failure.strerror})", host.bcc_command()
        ) from None


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _explain(failure: _Failed, output: str, python: str) -> UserError:
    text = _visible_lines(f"{failure}\n{output}")
    if failure.kind == "no-bcc":
        return host.broken_bcc(python, text)
    if failure.kind == "wrong-bcc":
        return host.wrong_bcc(python, text)
    if failure.kind == "no-probe":
        return UserError(Exit.NO_PROBE, "no ZFS function could be attached", "see the reasons below", text)
    if failure.kind == "no-btf":
        return UserError(
            Exit.NO_BTF, f"kernel types cannot be read: {visible(str(failure))}", host.bcc_command(), text
        )
    if failure.kind == "compile":
        return UserError(
            Exit.LOAD_FAILED,
            "the probes could not be compiled",
            "report the lines below as a bug of zfstop",
            text,
        )
    return UserError(
        Exit.LOAD_FAILED, "the probes could not be loaded", "report the lines below as a bug", text
    )


def _visible_lines(text: str) -> str:
    """What a compiler printed, line by line, safe to show."""
    return "\n".join(visible(line) for line in text.strip().splitlines())
