DELETE FROM dead_letter WHERE key = ANY (SELECT decode(k, 'hex') FROM unnest(%(keys)s::text[]) k)
