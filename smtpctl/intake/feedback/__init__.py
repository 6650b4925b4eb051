"""The feedback processor of the feedback role: mail to the bounce and feedback addresses, by LMTP, into the ledger.

Postfix hands a mail over and keeps it until it hears 250, and 250 is said after PostgreSQL has committed: a mail is in
Postfix's queue or in the ledger at any instant, and in both for a moment. With the database away every recipient gets
451 and Postfix tries again. A mail that comes twice counts once. What is no delivery report is stored as it came.

Never: sends mail, answers a bounce, or refuses a mail for what is in it.
"""

from smtpctl.intake.feedback.program import main

__all__ = ["main"]
