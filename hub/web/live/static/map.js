// The map: areas, and sensors above them, coloured by their figures. A component without a template of its own.

import { leaflet as L } from "leaflet";
import { h, nextTick, onMounted, ref, watch } from "vue";
import { choice, choose, open, opened } from "./address.js";
import { figures, get, isOther } from "./figures.js";
import { judged } from "./judged.js";
import { known, number, share, span, unit, words } from "./words.js";

const MANY = 1500; // marks: more than this are drawn on a canvas, where only what is near the mouse is an element
const FAR = 10; // times the distance of nine of ten sensors
const NEAR = 0.02; // degrees: what is within some 20 km of the middle is always shown
const WITHOUT_VALUE = ["missing", "failed", "nothing"];

function hint(row) {
  const box = document.createElement("div");
  const value = row.value == null ? "" : `${number(row.value)} ${unit(choice.quantity, choice.lens)}`;
  const when = row.start == null ? "" : `${span(row)} · ${words.coverage.toLowerCase()} ${share(row.coverage)}`;
  [row.name, value, when, judged(row)].filter(Boolean).forEach((line, at) => {
    box.append(Object.assign(document.createElement(at ? "div" : "strong"), { textContent: line }));
  });
  return box;
}

/** Colours are CSS variables: a canvas needs their values, SVG takes them from its classes too. */
function look(row, kind, chosen) {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const none = WITHOUT_VALUE.includes(row.state) || row.step == null;
  return {
    none,
    fillColor: colour(none ? "--map" : `--k${row.step}`),
    fillOpacity: none ? 0.35 : row.state === "invalid" ? 0.45 : kind === "area" ? 0.8 : 1,
    color: colour(none ? "--missing" : "--edge"),
    weight: chosen ? 4 : kind === "area" ? 1 : 1.5,
    opacity: 1,
    dashArray: row.state === "invalid" || none ? "3 3" : null,
  };
}

/** Draw one sensor or area; an element of SVG says what it is. */
function paint(layer, row, kind, id) {
  const chosen = opened()?.id === id;
  const { none, ...style } = look(row, kind, chosen);
  layer.setStyle(style);
  const shape = kind === "area" ? "shape" : "spot";
  const other = isOther(row) ? "other" : "";
  const classes = [shape, row.state, none ? "none" : `k${row.step}`, other, chosen ? "chosen" : ""];
  layer._path?.setAttribute("class", `leaflet-interactive ${classes.join(" ")}`);
  layer._path?.setAttribute(`data-${kind}`, id);
}

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

class CityMap {
  constructor(frame) {
    const about = { attributionControl: Boolean(known.attribution), zoomControl: false };
    this.map = L.map(frame, { ...about, center: [52.2, 5.3], zoom: 8, maxZoom: 19, zoomSnap: 0.25 });
    this.map.attributionControl?.setPrefix(false);
    L.control.zoom({ zoomInTitle: words.zoom_in, zoomOutTitle: words.zoom_out }).addTo(this.map);
    L.control.scale({ imperial: false }).addTo(this.map);
    if (known.tiles) {
      L.tileLayer(known.tiles, { attribution: known.attribution, className: "tiles" }).addTo(this.map);
    }
    this.map.createPane("sensors").style.zIndex = 450; // above the areas
    this.map.on("tooltipopen", ({ tooltip }) => (this.tooltip = tooltip));
    this.map.on("tooltipopen mousemove", () => keepInside(this.tooltip, frame));
    this.areas = { kind: "area", layers: new Map(), row: new Map() };
    this.sensors = { kind: "sensor", layers: new Map(), row: new Map() };
    this.features = [];
    this.fitted = false;
    this.map.on("dragstart zoomstart", () => (this.byViewer = !this.fitting));
    this.map.on("moveend", () => this.byViewer && this.remember());
    new ResizeObserver(() => this.map.invalidateSize()).observe(frame);
  }

  /** Draw what is known now; `rows` of a sensor without a place are left out. */
  draw() {
    const placed = figures.sensors.value.filter((row) => row.lat != null);
    this.render(placed.length > MANY);
    this.sensors.row = new Map(placed.map((row) => [row.id, row]));
    this.areas.row = new Map(figures.areas.value.map((row) => [row.id, row]));
    for (const row of placed) {
      const layer = this.sensors.layers.get(row.id) ?? this.mark(row);
      const at = L.latLng(row.lat, row.lon);
      if (!layer.getLatLng().equals(at)) layer.setLatLng(at);
    }
    for (const [id, layer] of this.sensors.layers) {
      if (this.sensors.row.has(id)) continue;
      layer.remove();
      this.sensors.layers.delete(id);
    }
    for (const drawn of [this.areas, this.sensors]) {
      for (const [id, layer] of drawn.layers) paint(layer, this.rowOf(drawn, id), drawn.kind, id);
    }
  }

  /** Choose how marks are drawn, and begin anew where that changes: on a canvas areas and sensors share one. */
  render(many) {
    if (this.many === many) return;
    this.many = many;
    const shared = many ? L.canvas() : null;
    this.areas.renderer = shared ?? L.svg();
    this.sensors.renderer = shared ?? L.svg({ pane: "sensors" });
    for (const layer of this.sensors.layers.values()) layer.remove();
    this.sensors.layers.clear();
    this.shape(this.features);
  }

  rowOf(drawn, id) {
    return drawn.row.get(id) ?? { id, name: figures.names.value[id] ?? id, state: "missing" };
  }

  add(drawn, id, layer) {
    layer.on("click", () => open(drawn.kind, id));
    layer.bindTooltip(() => hint(this.rowOf(drawn, id)), { sticky: drawn.kind === "area" });
    drawn.layers.set(id, layer.addTo(this.map));
    return layer;
  }

  mark(row) {
    const pane = this.many ? "overlayPane" : "sensors";
    const form = { renderer: this.sensors.renderer, pane, radius: this.many ? 4 : 9, bubblingMouseEvents: false };
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
      watch([figures.sensors, figures.areas, () => opened()?.id], () => {
        city.draw();
        if (!city.fitted) city.fit();
      });
      watch(
        () => choice.map,
        (wanted) => wanted !== city.remembered && city.fit(),
      );
      watch(
        () => choice.show,
        () => nextTick(() => (city.fitted ? city.map.invalidateSize() : city.fit())),
      );
      watch(() => choice.level, fetchAreas, { immediate: true });
      new MutationObserver(() => city.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    });
    return () => h("div", { ref: frame, class: "map", tabindex: 0, role: "region", "aria-label": words.map_label });
  },
};
