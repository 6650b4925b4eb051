"""Frozen values that every other package speaks: the fleet, artifacts, secrets, plans, records, deliveries."""
