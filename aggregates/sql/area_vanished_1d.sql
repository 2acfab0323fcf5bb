-- Rows that this transaction did not make: their sensors are gone.
DELETE FROM area_1d WHERE quantity = %(quantity)s AND start >= %(first)s AND start <= %(last)s AND computed_at < now()
