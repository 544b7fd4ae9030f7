"""`python -m executor`."""

import sys

from ratchet.service import run_service

from executor.app import create_app

sys.exit(run_service("executor", create_app, lambda settings: settings.executor_port))
