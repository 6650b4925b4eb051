SELECT at, who, why FROM ledger.acknowledgements WHERE kind = %(kind)s AND subject = %(subject)s ORDER BY at
