"""
The live page: a map, a table and the day of whatever is clicked, in every browser that looks, without the internet.

    aggregates.ask.live ──▶ watch ──▶ routes (figures, once for all viewers) ──▶ static/city.js
                          └────▶ page (who looks at what) ──▶ panels, details, charts

`mount` hangs it into the hub's HTTP side. `words` has every word it says, `scale` the steps of a legend. Nothing
here is imported before a hub serves HTTP: NiceGUI takes a second to load.
"""
