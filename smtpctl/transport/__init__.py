"""A host over the wire: connections (paramiko), messages, and the small agent that runs on the host."""
