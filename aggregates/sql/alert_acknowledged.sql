SELECT acknowledged_by FROM alert WHERE alert = %(alert)s AND cleared_at IS NULL AND acknowledged_at IS NOT NULL
