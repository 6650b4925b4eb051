"""Mail logs: lines to events (``lines``), events to rows (``tracker``), and the follower of files (``follower``).

All but ``follower`` is pure and works on bytes. Runs on the hosts, under Debian's Python.
"""
