UPDATE rollup SET reconciled = %(at)s
