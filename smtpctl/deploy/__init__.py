"""Plans carried out through the transport: observe, apply, confirm, roll out, roll back, drift."""
