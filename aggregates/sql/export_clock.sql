SELECT now(), (SELECT closed_until FROM rollup)
