"""What takes long at a start and needs to know nothing of what is wanted: begun while the rest is being imported."""

from __future__ import annotations

import threading

from zfstop.errors import UserError
from zfstop.kernel import host
from zfstop.kernel.loading import Loading


class HeadStart:
    """A loader that waits to be asked, and /proc/kallsyms, being read. For one start, or to be closed."""

    def __init__(self, python: str) -> None:
        """Raises UserError if ``python`` cannot be run."""
        self.loading = Loading(python)
        self._text = b""
        self._failure: UserError | None = None
        self._reading = threading.Thread(target=self._read, name="zfstop-kallsyms", daemon=True)
        self._reading.start()

    def _read(self) -> None:
        try:
            self._text = host.kallsyms()
        except UserError as failure:
            self._failure = failure

    def kallsyms(self) -> bytes:
        """The symbol table, once it is read, and once only: it is 10 MB. Raises UserError."""
        self._reading.join()
        if self._failure is not None:
            raise self._failure
        text, self._text = self._text, b""
        return text

    def close(self) -> None:
        """End the loader, if it has not ended, and forget what was read. May be called twice."""
        self.loading.close()
        self._reading.join()
        self._text = b""
