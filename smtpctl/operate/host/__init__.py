"""The part of the stop button that runs on every host, as root: it keeps the host's pauses, and brings queues to them.

Standard library only, beside the agent's own modules. It never judges mail: Postfix asks the policy service and the
routing, which read the same file.
"""
