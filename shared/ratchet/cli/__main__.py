"""`python -m ratchet.cli` is the same as `ratchet`."""

import sys

from ratchet.cli import main

sys.exit(main())
