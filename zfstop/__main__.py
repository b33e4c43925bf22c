"""``python -m zfstop``."""

import sys

from zfstop.cli import main

sys.exit(main())
