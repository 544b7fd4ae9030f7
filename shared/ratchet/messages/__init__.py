"""The wire format: commands, events and the envelope they travel in."""
