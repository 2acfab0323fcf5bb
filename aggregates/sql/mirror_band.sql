INSERT INTO index_band (index, quantity, band, above, upto, plus_one)
VALUES (%(index)s, %(quantity)s, %(band)s, %(above)s, %(upto)s, %(plus_one)s)
