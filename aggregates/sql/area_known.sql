SELECT code, name, change, derived, geometry FROM area WHERE vintage = %(vintage)s AND municipality = %(municipality)s
