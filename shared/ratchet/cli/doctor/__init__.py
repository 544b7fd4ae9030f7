"""`ratchet doctor`: is everything there that Ratchet needs, and is it as Ratchet needs it?"""
