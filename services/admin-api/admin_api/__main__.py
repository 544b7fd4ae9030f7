"""Runs the admin API: `python -m admin_api`."""

import sys

from ratchet.service import run_service

from admin_api.app import create_app

sys.exit(run_service("admin-api", create_app, lambda settings: settings.api_port))
