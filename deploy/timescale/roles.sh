#!/bin/sh
# Run once by the database's image, when its volume is empty. Run again to change passwords: docs/operations.md.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
    --dbname "${POSTGRES_DB:-stadspuls}" --file "${ROLES_SQL:-/etc/stadspuls/roles.sql}"
