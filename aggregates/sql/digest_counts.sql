-- What happened since: alerts raised and cleared, transitions that a silence kept back, and those that never arrived.
SELECT (SELECT count(*) FROM alert WHERE raised_at > %(since)s AND NOT late) AS raised,
       (SELECT count(*) FROM alert WHERE cleared_at > %(since)s AND NOT late) AS cleared,
       (SELECT count(*) FROM alert WHERE raised_at > %(since)s AND late) AS late,
       (SELECT count(*) FROM outbox WHERE written_at > %(since)s AND channel = %(channel)s AND held_by IS NOT NULL) AS silenced,
       (SELECT count(*) FROM outbox WHERE written_at > %(since)s AND channel = %(channel)s AND dropped LIKE 'not delivered%%') AS lost
