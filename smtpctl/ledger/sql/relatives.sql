SELECT parent FROM ledger.messages WHERE id = ANY (%(messages)s) AND parent IS NOT NULL
UNION
SELECT id FROM ledger.messages WHERE parent = ANY (%(messages)s)
