"""The internet that the lab's fleet sends to: one name server for everything, and mailbox providers that judge."""
