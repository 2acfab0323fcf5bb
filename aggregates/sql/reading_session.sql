-- A session that reads: nothing it is asked may write or take for ever. A role that its user may not have is left out.
SELECT set_config('default_transaction_read_only', 'on', false), set_config('statement_timeout', %(patience)s, false),
       (SELECT set_config('role', rolname, false) FROM pg_roles
        WHERE rolname = %(role)s AND pg_has_role(current_user, oid, 'MEMBER'))
