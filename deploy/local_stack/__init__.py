"""Runs Ratchet on one machine: its servers (by URL, Docker or natively), its services, and what keeps them alive."""
