INSERT INTO ledger.acknowledgements (kind, subject, who, why) VALUES (%(kind)s, %(subject)s, %(who)s, %(why)s)
