DELETE FROM index_band
