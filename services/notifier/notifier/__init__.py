"""The notifier: keeps every event in feeds and pushes it to whoever is connected, now or later."""
