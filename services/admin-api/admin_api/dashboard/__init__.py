"""The dashboard: pages for people, made on the server, which do nothing that the HTTP API does not offer."""
