"""Redis or Valkey: hints, tickets and limits. It may be wiped or away at any moment without breaking a promise."""
