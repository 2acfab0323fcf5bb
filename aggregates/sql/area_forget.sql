DELETE FROM area WHERE vintage = %(vintage)s AND municipality = %(municipality)s
