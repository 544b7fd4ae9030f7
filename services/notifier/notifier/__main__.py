"""Start the notifier: `python -m notifier`."""

import sys

from ratchet.service import run_service

from notifier.app import create_app

if __name__ == "__main__":
    sys.exit(run_service("notifier", create_app, lambda settings: settings.notifier_port))
