"""The ledger in PostgreSQL: its schema, what writes it (``writer``) and what reads it (``reader``).

Everything here touches the database and nothing else. ``writer`` and what it needs run on the hosts, under Debian's
Python with psycopg; ``reader`` runs on the controller.
"""
