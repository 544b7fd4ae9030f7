"""The recovery service: decides what happens after a failure; it re-enqueues and never runs a step."""
