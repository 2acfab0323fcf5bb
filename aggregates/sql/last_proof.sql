SELECT reconciled FROM rollup
