#!/usr/bin/env python3
"""The confusion table of causes for the README, from the waits.json that the last runs of test_waits.py have left."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results"
SUITES = ("bookworm", "trixie", "forky")


def main() -> None:
    """Print it: a row a cause that was injected, a column a cause that was reported, a figure a suite."""
    files = {suite: RESULTS / f"lab-{suite}" / "waits.json" for suite in SUITES}
    tables = [json.loads(file.read_text())["per_cent"] for file in files.values() if file.exists()]
    if not tables:
        raise SystemExit("no waits.json; make one with: tests/lab/lab.py run trixie -- -k test_waits")
    print(" / ".join(suite for suite, file in files.items() if file.exists()) + "\n")
    injected = [cause for cause in tables[0] if all(cause in table for table in tables)]
    causes = list(tables[0][injected[0]])
    print(f"| injected | {' | '.join(causes)} |")
    print("|" + "---|" * (len(causes) + 1))
    for cause in injected:
        cells = [" / ".join(f"{table[cause][told]:.1f}" for table in tables) for told in causes]
        print(f"| **{cause}** | {' | '.join('.' if not cell.strip('0. /') else cell for cell in cells)} |")


if __name__ == "__main__":
    main()
