// The map and the table of the live page, drawn from figures that the hub packs once for all viewers (hub/web/live/mount.py).
// `hub.web.live.page` calls `renew` when there are newer figures, and handles the events `view` (another choice) and `open`.
import { leaflet as L } from "nicegui-leaflet";
import { loadResource } from "../../static/utils/resources.js";

const MANY = 1500; // markers: more than this are drawn on a canvas
const FIRST_ROWS = 150;
const NONE = ["missing", "failed", "nothing"];
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const remember = (key, value) => (document.cookie = `${key}=${value};path=/;max-age=31536000;samesite=lax`);

window.stadspuls = {
  language(event, language) {
    event.preventDefault();
    remember("lang", language);
    const address = new URL(location.href);
    address.searchParams.set("lang", language);
    location.href = address;
  },
  theme() {
    const dark = !document.body.classList.contains("body--dark");
    Quasar.Dark.set(dark);
    remember("theme", dark ? "dark" : "light");
  },
  opened() {
    const title = document.getElementById("detail-title");
    title?.focus({ preventScroll: true });
    if (matchMedia("(max-width: 900px)").matches) title?.closest("section").scrollIntoView();
  },
};

export default {
  props: ["words", "language", "zone", "view", "quantities", "lenses", "levels", "level", "show", "tiles", "attribution", "resourcePath"],
  template: `
  <div class="city">
    <form class="choices" @submit.prevent>
      <label>{{ words.quantity }}
        <select v-model="quantity" @change="choose" id="choose-quantity">
          <option v-for="one in quantities" :value="one.name">{{ one.label }}</option>
        </select></label>
      <label>{{ words.window }}
        <select v-model="lens" @change="choose" id="choose-lens">
          <option v-for="one in lenses" :value="one" :disabled="!fits(one)">{{ words['lens.' + one] }}</option>
        </select></label>
      <label v-if="levels.length">{{ words.areas }}
        <select v-model="drawn" @change="chooseAreas" id="choose-level">
          <option value="none">{{ words.no_areas }}</option>
          <option v-for="one in levels" :value="one">{{ words['level.' + one] }}</option>
        </select></label>
      <div class="tabs" role="group" :aria-label="words.show_as">
        <button type="button" v-for="one in ['map', 'table']" :aria-pressed="String(shown === one)" @click="turn(one)" :id="'show-' + one">{{ words[one] }}</button>
      </div>
    </form>
    <section class="card stage">
      <header class="summary">
        <h2>{{ title }} <span class="quiet">{{ span }}</span></h2>
        <p v-if="frame" class="quiet" id="summary">{{ summary }}</p>
        <p v-if="lost" class="alarm" role="status">{{ words.away }} {{ clock(frame ? frame.at : 0) }}.</p>
      </header>
      <div v-show="shown === 'map'" class="map-frame">
        <div ref="map" class="map" tabindex="0" role="region" :aria-label="words.map_label"></div>
        <p v-if="frame && !frame.sensors.rows.length" class="empty">{{ words.waiting }}</p>
        <svg width="0" height="0" aria-hidden="true" class="patterns"><defs>
          <pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="7" height="7" class="hatch-ground"/><line x1="0" y1="0" x2="0" y2="7" class="hatch-line"/>
          </pattern>
          <pattern id="hatch-spot" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="4" height="4" class="hatch-ground"/><line x1="0" y1="0" x2="0" y2="4" class="hatch-line dense"/>
          </pattern></defs></svg>
      </div>
      <div v-show="shown === 'map'" class="legend" role="group" :aria-label="words.legend">
        <div v-for="scale in scales" class="scale" :class="scale.kind">
          <span class="scale-name">{{ scale.name }}</span>
          <ol><li v-for="(text, at) in scale.steps"><i :class="'swatch k' + at"></i>{{ text }}</li></ol>
        </div>
        <ul class="states">
          <li v-for="one in states"><svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="6.5" :class="'spot k3 ' + one"/></svg>{{ words['state.' + one] }}</li>
        </ul>
      </div>
      <div v-show="shown === 'table'" class="table-frame">
        <div class="tools">
          <label class="find"><span class="only-read">{{ words.search }}</span><input type="search" v-model="search" :placeholder="words.search" id="search"></label>
          <div class="tabs" role="group" v-if="areaRows.length">
            <button type="button" :aria-pressed="String(!ofAreas)" @click="ofAreas = false">{{ words.sensors }}</button>
            <button type="button" :aria-pressed="String(ofAreas)" @click="ofAreas = true">{{ words.areas }}</button>
          </div>
        </div>
        <div class="scroll" tabindex="0" role="region" :aria-label="title"><table class="figures" id="table">
          <caption class="only-read">{{ title }} {{ span }}</caption>
          <thead><tr>
            <th v-for="column in columns" scope="col" :aria-sort="sort === column ? (down ? 'descending' : 'ascending') : 'none'">
              <button type="button" class="head" @click="order(column)">{{ words[column] }}<span aria-hidden="true">{{ sort === column ? (down ? ' ▾' : ' ▴') : '' }}</span></button></th>
          </tr></thead>
          <tbody><tr v-for="row in listed" :key="row.id" :class="{ chosen: row.id === chosen }">
            <th scope="row"><button type="button" class="link" @click="open(row)">{{ row.name }}</button><span v-if="row.name !== row.id" class="quiet id">{{ row.id }}</span></th>
            <td class="value" :class="row.state"><i v-if="row.step != null" :class="'swatch k' + row.step"></i>{{ row.value == null ? words.none : number(row.value) }}</td>
            <td>{{ row.start == null ? '–' : hours(row) }}</td>
            <td>{{ share(row.coverage) }}</td>
            <td>{{ words['state.' + row.state] }}<template v-if="row.flags">, {{ words['state.flagged'] }}</template></td>
          </tr></tbody>
        </table></div>
        <button v-if="sorted.length > listed.length" type="button" class="more" @click="all = true">{{ more }}</button>
      </div>
    </section>
  </div>`,
  data() {
    return {
      quantity: this.view.quantity, lens: this.view.lens, drawn: this.level || "none", shown: this.show === "table" ? "table" : "map",
      frame: null, places: {}, names: {}, search: "", sort: "sensor", down: false, all: false, ofAreas: false, chosen: "", lost: false,
    };
  },
  computed: {
    about() { return this.quantities.find((one) => one.name === this.quantity) ?? this.quantities[0]; },
    unit() { return this.about.sum ? this.words["per." + this.lens.slice(0, 2)] : this.about.unit; },
    title() { return `${this.about.label}, ${this.unit}`.replace(/, $/, ""); },
    rows() {
      const edges = this.frame?.sensors.edges ?? [];
      return (this.frame?.sensors.rows ?? []).map((row) => this.row("sensor", row, edges, this.places[row[0]]));
    },
    areaRows() {
      const found = this.frame?.areas[this.drawn];
      return (found?.rows ?? []).map((row) => this.row("area", row, found.edges, { name: this.names[row[0]] }));
    },
    span() {
      const count = {};
      for (const row of this.rows) if (row.value != null) count[row.start] = (count[row.start] ?? 0) + 1;
      const start = Object.keys(count).sort((a, b) => count[b] - count[a])[0];
      return start ? this.hours(this.rows.find((row) => row.start == start)) : "";
    },
    summary() {
      const count = (state) => this.rows.filter((row) => row.state === state).length;
      const covered = this.rows.map((row) => row.coverage).filter((one) => one != null);
      const parts = [fill(this.words.with_value, { count: count("valid"), all: this.rows.length })];
      if (count("running")) parts.push(fill(this.words.still_running, { count: count("running") }));
      if (covered.length) parts.push(fill(this.words.mean_coverage, { share: this.share(covered.reduce((a, b) => a + b) / covered.length) }));
      const unplaced = this.rows.filter((row) => row.lat == null).length;
      if (unplaced) parts.push(fill(this.words.unplaced, { count: unplaced }));
      parts.push(`${this.words.updated} ${this.clock(this.frame.at, true)}`);
      if (this.drawn !== "none" && this.lens.startsWith("5m")) parts.push(this.words.areas_by_hour);
      return parts.join(" · ");
    },
    scales() {
      const found = [{ name: this.words.sensors, edges: this.frame?.sensors.edges ?? [], kind: "of-sensors" }];
      const areas = this.frame?.areas[this.drawn]?.edges ?? [];
      if (areas.length && String(areas) !== String(found[0].edges)) found.push({ name: this.words.areas, edges: areas, kind: "of-areas" });
      else if (areas.length) found[0].name = this.about.label;
      return found.filter((one) => one.edges.length).map((one) => ({ ...one, name: `${one.name}, ${this.unit}`, steps: this.steps(one.edges) }));
    },
    states() { return ["valid", "invalid", "running", "nothing", "failed", "missing"].filter((one) => one === "valid" || one === "missing" || this.rows.some((row) => row.state === one)); },
    columns() { return [this.ofAreas && this.areaRows.length ? "area" : "sensor", "value", "time", "coverage", "state"]; },
    sorted() {
      const wanted = this.search.toLowerCase();
      const rows = (this.ofAreas && this.areaRows.length ? this.areaRows : this.rows).filter((row) => `${row.name} ${row.id}`.toLowerCase().includes(wanted));
      const key = { value: "value", time: "start", coverage: "coverage", state: "state" }[this.sort] ?? "name";
      const sign = this.down ? -1 : 1;
      return rows.sort((a, b) => {
        if ((a[key] == null) !== (b[key] == null)) return a[key] == null ? 1 : -1; // missing values come last in either order
        return sign * (typeof a[key] === "string" ? a[key].localeCompare(b[key], this.language, { numeric: true }) : a[key] - b[key]);
      });
    },
    listed() { return this.all ? this.sorted : this.sorted.slice(0, FIRST_ROWS); },
    more() { return fill(this.words.more, { count: this.sorted.length }); },
  },
  async mounted() {
    await this.$nextTick(); // window.path_prefix is set after mounting
    await loadResource(`${window.path_prefix}${this.resourcePath}/leaflet/leaflet.css`);
    this.map = L.map(this.$refs.map, { zoomControl: false, attributionControl: Boolean(this.attribution), center: [52.2, 5.3], zoom: 8, maxZoom: 19, zoomSnap: 0.25 });
    this.map.attributionControl?.setPrefix(false);
    L.control.zoom({ zoomInTitle: this.words.zoom_in, zoomOutTitle: this.words.zoom_out }).addTo(this.map);
    L.control.scale({ imperial: false }).addTo(this.map);
    if (this.tiles) L.tileLayer(this.tiles, { attribution: this.attribution, className: "tiles" }).addTo(this.map);
    this.ground = L.layerGroup().addTo(this.map);
    this.spots = L.layerGroup().addTo(this.map);
    this.marks = {};
    new ResizeObserver(() => this.map.invalidateSize()).observe(this.$refs.map);
    new MutationObserver(() => this.draw()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    document.addEventListener("visibilitychange", () => document.hidden || (this.behind && this.renew(0)));
    await this.chooseAreas();
    await this.fetchAll();
  },
  methods: {
    fits(lens) { return { "5m": 300, "1h": 3600, "1d": 86400 }[lens.slice(0, 2)] >= (this.about.shortest || 0); },
    renew(version) {
      if (document.hidden) this.behind = true; // the tab is hidden: fetch when it is shown again
      else if (!version || version !== this.frame?.version) this.fetchFigures();
    },
    opened(kind, id) { this.chosen = kind ? id : ""; this.address({ sensor: kind === "sensor" ? id : null, area: kind === "area" ? id : null }); this.draw(); },
    async fetchAll() {
      if (!(await this.fetchPlaces())) return;
      await this.fetchFigures();
      this.fit();
    },
    async fetchPlaces() {
      const quantity = this.quantity;
      const placed = await this.get(`places?quantity=${quantity}`);
      if (!placed || quantity !== this.quantity) return false;
      this.places = Object.fromEntries(placed.map(([id, name, lon, lat]) => [id, { name, lon, lat }]));
      return true;
    },
    async fetchFigures() {
      this.behind = false;
      const found = await this.get(`figures?quantity=${this.quantity}&lens=${this.lens}`);
      if (!found || found.quantity !== this.quantity || found.lens !== this.lens) return;
      this.frame = found;
      if (found.sensors.rows.some((row) => !(row[0] in this.places))) await this.fetchPlaces();
      this.draw();
    },
    async get(what) {
      try {
        const answer = await fetch(`${window.path_prefix}/live/${what}`);
        this.lost = !answer.ok;
        return answer.ok ? await answer.json() : null;
      } catch { this.lost = true; return null; }
    },
    choose() {
      if (!this.fits(this.lens)) this.lens = this.lenses.find((one) => this.fits(one));
      this.$emit("view", { quantity: this.quantity, lens: this.lens });
      this.address({ quantity: this.quantity, lens: this.lens });
      this.frame = null;
      this.fetchAll();
    },
    turn(shown) {
      this.shown = shown;
      this.address({ show: shown === "map" ? null : shown });
      this.$nextTick(() => { this.map.invalidateSize(); if (!this.fitted) this.fit(); });
    },
    async chooseAreas() {
      this.address({ level: this.drawn === this.level ? null : this.drawn });
      this.ground.clearLayers();
      this.shapes = {};
      if (!this.levels.includes(this.drawn)) { this.names = {}; return this.draw(); }
      const found = await this.get(`areas?level=${this.drawn}`);
      if (!found) return;
      this.names = Object.fromEntries(found.features.map((one) => [one.id, one.properties.name]));
      L.geoJSON(found, {
        renderer: L.svg(),
        onEachFeature: (feature, layer) => {
          this.shapes[feature.id] = layer.on("click", () => this.open({ kind: "area", id: feature.id }));
          layer.bindTooltip(() => this.hint(this.areaRows.find((row) => row.id === feature.id) ?? { name: feature.properties.name, state: "missing" }), { sticky: true });
        },
      }).addTo(this.ground);
      this.draw();
    },
    address(values) {
      const address = new URL(location.href);
      for (const [key, value] of Object.entries(values)) value == null ? address.searchParams.delete(key) : address.searchParams.set(key, value);
      history.replaceState(history.state, "", address);
    },
    row(kind, [id, state, value, coverage, start, end, flags, failed, estimate], edges, place) {
      const step = value == null ? null : edges.filter((edge) => (state === "running" && estimate != null ? estimate : value) >= edge).length;
      return { kind, id, state, value, coverage, start, end, flags, failed, step, name: place?.name || id, lat: place?.lat, lon: place?.lon };
    },
    open(row) { this.$emit("open", { kind: row.kind, id: row.id }); },
    order(column) { this.down = this.sort === column && !this.down; this.sort = column; },
    fit() {
      const points = this.rows.filter((row) => row.lat != null).map((row) => [row.lat, row.lon]);
      if (!points.length || this.shown !== "map") return;
      this.map.invalidateSize();
      this.map.fitBounds(L.latLngBounds(points), { padding: [36, 36], maxZoom: 16, animate: false });
      this.fitted = true;
    },
    draw() {
      if (!this.map || !this.frame) return;
      for (const [id, layer] of Object.entries(this.shapes ?? {})) this.paint(layer, this.areaRows.find((row) => row.id === id) ?? { state: "missing" }, "shape", id);
      const placed = this.rows.filter((row) => row.lat != null);
      const kept = new Set(placed.map((row) => row.id));
      for (const id of Object.keys(this.marks)) if (!kept.has(id)) { this.marks[id].remove(); delete this.marks[id]; }
      this.canvas ??= placed.length > MANY ? L.canvas() : L.svg();
      for (const row of placed) this.paint((this.marks[row.id] ??= this.mark(row)), row, "spot", row.id);
    },
    mark(row) {
      const id = row.id;
      const layer = L.circleMarker([row.lat, row.lon], { renderer: this.canvas, radius: this.canvas instanceof L.Canvas ? 4 : 9, bubblingMouseEvents: false });
      layer.on("click", () => this.open({ kind: "sensor", id }));
      return layer.bindTooltip(() => this.hint(this.rows.find((one) => one.id === id) ?? { name: id, state: "missing" })).addTo(this.spots);
    },
    // Colours are CSS variables: a canvas needs their values, SVG takes them from its classes too.
    paint(layer, row, kind, id) {
      const css = getComputedStyle(document.body);
      const colour = (name) => css.getPropertyValue(name).trim();
      const none = NONE.includes(row.state) || row.step == null;
      layer.setStyle({
        fillColor: none ? colour("--map") : colour(`--k${row.step}`), fillOpacity: none ? 0.35 : row.state === "invalid" ? 0.45 : kind === "shape" ? 0.8 : 1,
        color: none ? colour("--missing") : colour("--edge"), weight: id === this.chosen ? 4 : kind === "shape" ? 1 : 1.5, opacity: 1,
        dashArray: row.state === "invalid" || none ? "3 3" : null,
      });
      layer._path?.setAttribute("class", `leaflet-interactive ${kind} ${row.state} ${none ? "none" : "k" + row.step} ${id === this.chosen ? "chosen" : ""}`);
      if (kind === "spot") layer._path?.setAttribute("data-sensor", id);
      else layer._path?.setAttribute("data-area", id);
    },
    hint(row) {
      const box = document.createElement("div");
      const value = row.value == null ? "" : `${this.number(row.value)} ${this.unit}`;
      const lines = [row.name, value, row.start == null ? "" : `${this.hours(row)} · ${this.words.coverage.toLowerCase()} ${this.share(row.coverage)}`, this.words["state." + row.state] + (row.flags ? `, ${this.words["state.flagged"]}` : "")];
      lines.forEach((line, at) => line && box.append(Object.assign(document.createElement(at ? "div" : "strong"), { textContent: line })));
      return box;
    },
    steps(edges) {
      const text = edges.map((edge) => this.number(edge));
      return [fill(this.words.below, { edge: text[0] }), ...text.slice(1).map((high, at) => `${text[at]} – ${high}`), fill(this.words.from, { edge: text.at(-1) })];
    },
    number(value) { return new Intl.NumberFormat(this.language, { maximumSignificantDigits: Math.abs(value) >= 1000 ? 9 : 3, maximumFractionDigits: 1 }).format(value); },
    share(value) { return value == null ? "–" : new Intl.NumberFormat(this.language, { style: "percent" }).format(value); },
    clock(seconds, whole) { return new Intl.DateTimeFormat(this.language, { timeZone: this.zone, hour: "2-digit", minute: "2-digit", second: whole ? "2-digit" : undefined }).format(seconds * 1000); },
    date(seconds) { return new Intl.DateTimeFormat(this.language, { timeZone: this.zone, weekday: "short", day: "numeric", month: "short" }).format(seconds * 1000); },
    hours(row) { return row.end - row.start > 3600 * 20 ? this.date(row.start) : `${this.clock(row.start)} – ${this.clock(row.end)}`; },
  },
};
