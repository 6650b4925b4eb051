"""A fleet's data in a folder, encrypted for whom the secrets are for; and a fleet out of that folder.

A backup is a folder of a date. Beside it, once for all backups, lies the copy of the ledger's keys, which every backup
replaces: an older one would undo an erasure (smtpctl/ledger/keystore.py).
"""
