-- Lock the stored twins of the staged readings, in order, also those that are packed; the series to unpack, else null.
SELECT lock_known(%(first)s, %(last)s)
