"""`python -m recovery`."""

import sys

from ratchet.service import run_service

from recovery.app import create_app

sys.exit(run_service("recovery", create_app, lambda settings: settings.recovery_port))
