-- A window v as the bytes of `aggregates.ask.query.WINDOW`, NaN for null. Four numbers go as one segment of a line, because
-- PostgreSQL sends one in less time than four. The last is twice the status, plus one where it is valid.
int4send(v.series) || timestamptz_send(v.start)
|| lseg_send(lseg(point(coalesce(v.value, 'NaN'), coalesce(v.estimate, 'NaN')),
                  point(coalesce(v.minimum, 'NaN'), coalesce(v.maximum, 'NaN'))))
|| lseg_send(lseg(point(coalesce(v.coverage, 'NaN'), v.readings), point(v.nothing, v.flagged)))
|| lseg_send(lseg(point(v.failed, v.warned), point(v.revision, 2 * v.status + v.valid::integer))) AS bytes
