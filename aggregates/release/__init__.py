"""
Figures that are published: frozen, citable, and compared with what the hub knows since.

Read in this order: `inquiry` (which tables are asked for, and their rows), `release` (makes, lists and verifies),
`report` (a year of a sensor or an area on one page). Rows come from `aggregates.ask`, files are written by
`aggregates.export.forms`.
"""
