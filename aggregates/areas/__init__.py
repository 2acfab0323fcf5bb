"""
Areas of CBS: boundaries and statistics from the net or from files into the store, and sensors in areas.

Read in this order: `codes` (of gemeenten, wijken and buurten), `measures` (the registry of statistics), `geometry`
(which area contains a place), `statistics` and `maps` (tables and maps in any form), `inputs` (tells what a document
is), `cbs_door` (documents from CBS and PDOK), `load` (into the store), `roll_up` (sensors into areas, and area
windows), `groups` (named sets of sensors). Before: `streams.rollup` marks the hours that it wrote. After:
`aggregates.ask` answers, `streams.alerts` judges area windows.
"""
