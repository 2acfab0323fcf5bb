SELECT code, name, geometry FROM area WHERE vintage = %(vintage)s AND geometry IS NOT NULL AND NOT derived
