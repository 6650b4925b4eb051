"""Postfix policy-delegation daemon."""
