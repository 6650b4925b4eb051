-- Moves only from where the writer believes the position is: a second shipper cannot add rows unseen.
UPDATE ledger.sources
SET generation = %(generation)s, position = %(position)s, marks = %(marks)s, next_row = %(next_row)s,
    lines = %(lines)s, last_at = %(last_at)s, updated_at = now()
WHERE id = %(source)s AND generation = %(from_generation)s AND position = %(from_position)s
