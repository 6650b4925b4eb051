"""What the person on call does: the fleet's queues, its stop button, its state. Through the agents, and the ledger."""
