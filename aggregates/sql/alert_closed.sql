SELECT closed_until FROM rollup
