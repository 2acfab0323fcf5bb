"""
The live page: a map, a table and the day of what is clicked, the same for every viewer; it needs no internet.

    aggregates.ask.live --> watch (looked up once for all) --> mount (HTTP) --> static/*.js (drawn in the browser)

Read in this order: `known` (words in Dutch and English, classes of colours), `watch` (what is looked up once for all
viewers), `mount` (adds the page to `hub.web.http`). The page itself is
`static/index.html` and ES modules without a build step: `app.js` puts together what `figures.js` fetches and what
stands in the address (`address.js`).
"""
