// The map: areas, and sensors above them, coloured by their figures. A component without a template of its own.

import { leaflet as L } from "leaflet";
import { h, nextTick, onMounted, ref, shallowRef, watch } from "vue";
import { choice, choose, open, opened } from "./address.js";
import { BaseMap } from "./base.js";
import { figures, get, isOther } from "./figures.js";
import { judged, toneOf } from "./judged.js";
import { besideUsual, usual, usualText } from "./usual.js";
import { enlarged, known, measured, number, say, share, span, statistic, unit, words } from "./words.js";

const MANY = 1500; // marks: more than this are drawn on a canvas, where only what is near the mouse is an element
const FAR = 10; // times the distance of nine of ten sensors
const NEAR = 0.02; // degrees: what is within some 20 km of the middle is always shown
const PAPER = 680; // px: a page's width, and what its map may be high
const WITHOUT_VALUE = ["missing", "failed", "nothing"];

/** What is in sight; null before anything is. */
export const bounds = shallowRef(null);
/** Whether that is listed. */
export const listing = ref(false);

/** How much larger marks are than on a desk: a wall is read from metres away. */
const size = () => (choice.wall ? Math.max(2, innerWidth / 900) : enlarged());

/** What CBS says of an area. */
function told({ measure, value }) {
  return `${measured(measure)}: ${value == null ? words.none : statistic(value, figures.statistic.value?.unit, 6)}`;
}

function hint(row) {
  const box = document.createElement("div");
  const value = row.value == null ? "" : `${number(row.value)} ${unit(choice.quantity, choice.lens)}`;
  const each = row.each == null ? "" : say("each", { value: number(row.each) });
  const when = row.start == null ? "" : `${span(row)} · ${words.coverage.toLowerCase()} ${share(row.coverage)}`;
  const beside = choice.colour === "usual" && besideUsual(row);
  const about = row.measure ? [told(row)] : [value, each, when, judged(row), beside && usualText(beside)];
  [row.name, ...about].filter(Boolean).forEach((line, at) => {
    box.append(Object.assign(document.createElement(at ? "div" : "strong"), { textContent: line }));
  });
  return box;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Colours are CSS variables: a canvas needs their values, SVG takes them from its classes too. */
function styleOf(state, kind, { tone, none, chosen, many, beside }) {
  const dashed = state === "invalid" || none;
  return {
    fillColor: colour(none ? "--map" : `--${tone}`),
    fillOpacity: none && kind === "area" && beside ? 0 : none ? 0.35 : state === "invalid" ? 0.45 : kind === "area" ? 0.6 : 1,
    stroke: chosen || !many || (dashed && kind === "sensor"), // an edge takes as long to draw as all else
    color: colour(none ? "--missing" : "--edge"),
    weight: chosen ? 4 : kind === "area" ? 1 : 1.5,
    opacity: 1,
    dashArray: dashed ? "3 3" : null,
  };
}

const looks = new Map(); // on the ground of a moment; each is made once for all marks like it, of which a country has 35,000

/** How a mark looks: its style, and the classes of an element of SVG. */
function lookOf(row, kind, { chosen, many, beside }) {
  const tone = beside ? toneOf(row) : row.tone;
  const other = isOther(row);
  const key = `${kind} ${row.state} ${tone} ${other} ${chosen}`;
  if (!looks.has(key)) {
    const none = WITHOUT_VALUE.includes(row.state) || tone == null;
    const unjudged = none && beside ? "unjudged" : "";
    const classes = `${row.state} ${none ? "none" : tone} ${unjudged} ${other ? "other" : ""} ${chosen ? "chosen" : ""}`;
    looks.set(key, { style: styleOf(row.state, kind, { tone, none, chosen, many, beside }), classes });
  }
  return looks.get(key);
}

/**
 * Draw one sensor or area where it looks different now; an element of SVG says what it is.
 *
 * Of what `lookOf` is asked, `beside` is whether colours are those of what is usual: asked for once, for `choice` is slow
 * to ask a country's times.
 */
function paint(layer, row, kind, asked) {
  const look = lookOf(row, kind, asked);
  if (layer.painted === look) return;
  layer.painted = look;
  L.Path.prototype.setStyle.call(layer, look.style); // that of a circle places it anew
  layer._path?.setAttribute("class", `leaflet-interactive ${kind === "area" ? "shape" : "spot"} ${look.classes}`);
  layer._path?.setAttribute(`data-${kind}`, row.id);
}

/** A canvas that is drawn as a whole: to find out which of a country's marks changed takes longer. */
const Canvas = L.Canvas.extend({ _extendRedrawBounds() {} });

/** Move a tooltip that is cut off by an edge of the map. */
function keepInside(tooltip, frame) {
  const element = tooltip?.getElement();
  if (!element) return;
  element.style.marginLeft = "";
  const own = element.getBoundingClientRect();
  const within = frame.getBoundingClientRect();
  const left = Math.max(0, within.left + 4 - own.left);
  const right = Math.max(0, own.right - within.right + 4);
  if (left || right) element.style.marginLeft = `${parseFloat(getComputedStyle(element).marginLeft) + left - right}px`;
}

/**
 * The places that the map shows at first: all but those some times as far from the middle as nine of ten others.
 *
 * A place is [latitude, longitude]; one sensor with a wrong place would shrink the city to a spot.
 */
export function nearMost(places) {
  if (places.length < 5) return places;
  const sorted = (numbers) => numbers.toSorted((one, other) => one - other);
  const [lat, lon] = [0, 1].map((axis) => sorted(places.map((place) => place[axis]))[places.length >> 1]);
  const away = (place) => Math.hypot(place[0] - lat, (place[1] - lon) * Math.cos((lat * Math.PI) / 180));
  const most = sorted(places.map(away))[Math.floor(0.9 * (places.length - 1))];
  return places.filter((place) => away(place) <= FAR * Math.max(most, NEAR));
}

/** What is shown of an area that nothing is known of. */
const missing = (id) => ({ id, name: figures.names.value[id] ?? id, state: "missing" });

class CityMap {
  constructor(frame) {
    this.map = L.map(frame, { zoomControl: false, center: [52.2, 5.3], zoom: 8, maxZoom: 19, zoomSnap: 0.25 });
    this.map.attributionControl.setPrefix(false);
    L.control.zoom({ zoomInTitle: words.zoom_in, zoomOutTitle: words.zoom_out }).addTo(this.map);
    L.control.scale({ imperial: false, position: "topright", maxWidth: 100 * enlarged() }).addTo(this.map);
    this.base = new BaseMap(this.map);
    this.map.createPane("sensors").style.zIndex = 450; // above the areas
    this.map.on("tooltipopen", ({ tooltip }) => (this.tooltip = tooltip));
    this.map.on("tooltipopen mousemove", () => keepInside(this.tooltip, frame));
    this.areas = { kind: "area", layers: new Map(), row: new Map() };
    this.sensors = { kind: "sensor", layers: new Map(), row: new Map() };
    this.features = [];
    this.fitted = false;
    this.map.on("dragstart zoomstart", () => (this.byViewer = !this.fitting));
    this.map.on("moveend", () => this.byViewer && this.remember());
    this.map.on("moveend", () => (bounds.value = this.map.getBounds()));
    frame.addEventListener("keydown", (event) => event.key === "Enter" && event.target === frame && this.list(event));
    this.frame = frame;
    addEventListener("beforeprint", () => this.paper());
    addEventListener("afterprint", () =>
      this.resize({ width: "", height: "" }, () => this.map.setView(this.screen.center, this.screen.zoom, { animate: false })),
    );
    new ResizeObserver(() => (choice.wall && this.fitted ? this.fit() : this.map.invalidateSize())).observe(frame);
  }

  /** Put what is in sight onto a map as wide as a page of paper; its own width is that of the screen. */
  paper() {
    const seen = this.map.getBounds().pad(-0.02); // else a step of the zoom is lost
    this.screen = { center: this.map.getCenter(), zoom: this.map.getZoom() };
    const { x, y } = this.map.getSize();
    const form = { width: `${PAPER}px`, height: `${Math.min(PAPER, (PAPER * y) / x)}px` };
    this.resize(form, () => this.map.fitBounds(seen, { animate: false }));
  }

  resize(form, show) {
    Object.assign(this.frame.style, form);
    this.fitting = true;
    this.map.invalidateSize({ pan: false });
    show();
    this.fitting = false;
  }

  /** Go to the list of what is in sight. */
  async list(event) {
    event.preventDefault(); // else the key presses what the focus goes to
    listing.value = true;
    await nextTick();
    const found = document.getElementById("in-sight");
    (found.querySelector("button") ?? found.querySelector("summary")).focus();
  }

  /** Draw what is known now; `rows` of a sensor without a place are left out. */
  draw() {
    const placed = figures.sensors.value.filter((row) => row.lat != null);
    this.render(placed.length > MANY);
    this.sensors.row = new Map(placed.map((row) => [row.id, row]));
    this.areas.row = new Map(figures.coloured.value.map((row) => [row.id, row]));
    const radius = size() * (this.many ? 4 : 9);
    for (const row of placed) {
      const layer = this.sensors.layers.get(row.id) ?? this.mark(row);
      const { lat, lng } = layer.getLatLng();
      if (layer.getRadius() !== radius) layer.setRadius(radius);
      if (lat !== row.lat || lng !== row.lon) layer.setLatLng([row.lat, row.lon]);
    }
    for (const [id, layer] of this.sensors.layers) {
      if (this.sensors.row.has(id)) continue;
      layer.remove();
      this.sensors.layers.delete(id);
    }
    const chosen = opened()?.id;
    const beside = choice.colour === "usual";
    const ground = `${document.documentElement.dataset.theme} ${choice.classes} ${choice.colour} ${this.many}`;
    if (this.ground !== ground) looks.clear();
    this.ground = ground;
    for (const { kind, layers, row } of [this.areas, this.sensors]) {
      for (const [id, layer] of layers) {
        const shown = row.get(id) ?? missing(id);
        paint(layer, shown, kind, { chosen: id === chosen, many: this.many, beside });
      }
    }
  }

  /** Choose how marks are drawn, and begin anew where that changes: on a canvas areas and sensors share one. */
  render(many) {
    if (this.many === many) return;
    this.many = many;
    const shared = many ? new Canvas() : null;
    this.areas.renderer = shared ?? L.svg();
    this.sensors.renderer = shared ?? L.svg({ pane: "sensors" });
    for (const layer of this.sensors.layers.values()) layer.remove();
    this.sensors.layers.clear();
    this.shape(this.features);
  }

  add(drawn, id, layer) {
    layer.on("click", () => open(drawn.kind, id));
    layer.bindTooltip(() => hint(drawn.row.get(id) ?? missing(id)), { sticky: drawn.kind === "area" });
    drawn.layers.set(id, layer.addTo(this.map));
    layer._path?.setAttribute("tabindex", -1); // its tooltip listens for the focus, which makes a stop for the keyboard
    return layer;
  }

  mark(row) {
    const pane = this.many ? "overlayPane" : "sensors";
    const form = { renderer: this.sensors.renderer, pane, bubblingMouseEvents: false };
    return this.add(this.sensors, row.id, L.circleMarker([row.lat, row.lon], form));
  }

  /** Take other areas. */
  shape(features) {
    this.features = features;
    for (const layer of this.areas.layers.values()) layer.remove();
    this.areas.layers.clear();
    if (!this.areas.renderer) return;
    const onEachFeature = (feature, layer) => this.add(this.areas, feature.id, layer).bringToBack();
    L.geoJSON(features, { renderer: this.areas.renderer, onEachFeature });
  }

  /** Show what the address says, else the sensors, but for those with a place far from all others. */
  fit() {
    const points = figures.sensors.value.filter((row) => row.lat != null).map((row) => [row.lat, row.lon]);
    this.map.invalidateSize();
    if (!points.length || !this.map.getSize().y) return;
    this.fitting = true;
    if (choice.map) {
      const [lat, lon, zoom] = choice.map.split(",").map(Number);
      this.map.setView([lat, lon], zoom, { animate: false });
    } else {
      this.map.fitBounds(L.latLngBounds(nearMost(points)), { padding: [36, 36], maxZoom: 16, animate: false });
    }
    this.fitting = false;
    this.fitted = true;
  }

  /** Put where the viewer moved the map into the address. */
  remember() {
    this.byViewer = false;
    const { lat, lng } = this.map.getCenter();
    this.remembered = [lat.toFixed(5), lng.toFixed(5), this.map.getZoom()].join();
    choose({ map: this.remembered }, false);
  }
}

export const CityMapFrame = {
  setup() {
    const frame = ref(null);
    onMounted(() => {
      const city = new CityMap(frame.value);
      async function fetchAreas() {
        const level = choice.level;
        const found = known.levels.includes(level) ? await get("areas", { level }) : { features: [] };
        if (!found || level !== choice.level) return;
        figures.names.value = Object.fromEntries(found.features.map((one) => [one.id, one.properties.name]));
        city.shape(found.features);
        city.draw();
      }
      watch(
        () => choice.quantity,
        () => (city.fitted = false),
      );
      const beside = () => choice.colour === "usual" && usual.value;
      watch([figures.sensors, figures.coloured, beside, () => opened()?.id], () => {
        city.draw();
        if (!city.fitted) city.fit();
      });
      watch(
        () => choice.map,
        (wanted) => wanted !== city.remembered && city.fit(),
      );
      watch(
        () => [choice.show, choice.wall],
        ([, wall], [, was]) => nextTick(() => (city.fitted && wall === was ? city.map.invalidateSize() : city.fit())),
      );
      watch(() => choice.level, fetchAreas, { immediate: true });
      new MutationObserver(() => (city.draw(), city.base.draw())).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    });
    return () => h("div", { ref: frame, class: "map", tabindex: 0, role: "region", "aria-label": words.map_label });
  },
};
