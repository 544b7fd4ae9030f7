"""Postgres: the truth about every workflow."""
