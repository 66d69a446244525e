"""``python -m driftpolicy.cli``: the command ``dfp``."""

import sys

from driftpolicy.cli import main

if __name__ == "__main__":
    sys.exit(main())
