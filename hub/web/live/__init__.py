"""
The live page: a map, a table and the day of what is clicked, the same for every viewer, without the internet.

    aggregates.ask.live --> watch --> mount (figures, packed once for all viewers) --> static/city.js
                              `-----> page (one viewer) --> panels, details --> charts

Read in this order: `words` (every text of the page in Dutch and English), `watch` (what is looked up once for all
viewers), `panels` (beside the map), `charts` and `details` (a day of a sensor or area), `page` (one viewer), `mount`
(adds it to `hub.web.http`). Nothing here is imported before a hub serves HTTP: NiceGUI takes a second to load.
"""
