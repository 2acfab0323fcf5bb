// The base map, which no data lie on: tiles where the internet has them, and beneath them roads, water and names that
// need none. A tile that does not come leaves a gap through which these are seen.

import { leaflet as L } from "leaflet";
import { choice } from "./address.js";
import { figures, get } from "./figures.js";
import { enlarged, known } from "./words.js";

// Each kind with the zoom from which it is drawn, its width there and two steps further in, in the order of drawing.
const KINDS = { water: [0, 1, 1], path: [14.5, 1, 1.5], street: [12, 0.7, 2.5], main: [0, 2, 4] };
const NAMES = { gemeente: [9, 11.5], wijk: [11.5, 14], buurt: [14, 20] }; // zooms at which the names of a level are written
const LARGE = 14; // px: letters beyond which names are written as those of a map that is zoomed out
// Places of a name, in halves of its width and height, until it covers no sensor.
const BESIDE = [0, 1, -1].flatMap((across) => [0, 1.3, -1.3, 2.6, -2.6, 3.9, -3.9].map((down) => [across, down]));
const MANY = 500; // sensors in sight, which leave no room for names
/** About half of a name's height, and its width for each letter (px): larger on a wall. */
const letter = () => (choice.wall ? innerWidth / 130 : 7 * enlarged());

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The names of the areas of a level, in the middle of each one's largest part. */
async function fetchNames(level) {
  const found = await get("areas", { level });
  const drawn = (found?.features ?? []).filter((one) => one.geometry);
  return drawn.map(({ geometry: { type, coordinates }, properties: { name } }) => {
    const [[ring]] = (type === "Polygon" ? [coordinates] : coordinates).toSorted(([one], [other]) => other.length - one.length);
    const { lat, lng } = L.PolyUtil.polygonCenter(L.GeoJSON.coordsToLatLngs(ring), L.CRS.EPSG3857);
    return { name, lat, lng };
  });
}

/** Those names that are whole in sight and leave each other, and where they can the sensors, room. */
function readable(map, names) {
  const written = [];
  const size = letter();
  const sight = map.getSize();
  const bounds = map.getBounds();
  const placed = figures.sensors.value.filter((row) => row.lat != null && bounds.contains([row.lat, row.lon]));
  const dots = placed.length > MANY ? [] : placed.map((row) => map.latLngToContainerPoint([row.lat, row.lon]));
  const near = (one, other, width, height) => Math.abs(other.x - one.x) < width && Math.abs(other.y - one.y) < height;
  for (const one of names) {
    if (!bounds.contains(one)) continue;
    const half = (size * (one.name.length + 1)) / 2;
    const middle = map.latLngToContainerPoint(one);
    const places = BESIDE.map(([across, down]) => ({ x: middle.x + across * half, y: middle.y + down * size }));
    const open = places.find((place) => !dots.some((dot) => near(place, dot, half + size, 2.3 * size)));
    const { x, y } = open ?? middle;
    const whole = x >= half && x <= sight.x - half && y >= 2 * size && y <= sight.y - 4 * size;
    if (!whole || written.some((other) => near({ x, y }, other, other.half + half, 3 * size))) continue;
    written.push({ name: one.name, x, y, half });
  }
  return written;
}

export class BaseMap {
  constructor(map) {
    this.map = map;
    map.createPane("base").style.zIndex = 150; // beneath the tiles
    map.createPane("names").style.zIndex = 460; // above the sensors
    map.getPane("names").setAttribute("aria-hidden", "true");
    this.renderer = L.canvas({ pane: "base", padding: 0.3 });
    this.layers = [];
    this.names = {};
    this.written = L.layerGroup().addTo(map);
    if (known.tiles) this.addTiles();
    if (known.base) this.fetchRoads();
    map.on("moveend", () => this.draw());
  }

  /** Show tiles; they have names of their own. */
  addTiles() {
    const about = { attribution: known.attribution, className: "tiles", referrerPolicy: "no-referrer" };
    const tiled = (come) => this.map.getContainer().classList.toggle("tiled", come);
    const tiles = L.tileLayer(known.tiles, about).on("tileload", () => tiled(true)).on("tileerror", () => tiled(false));
    tiles.addTo(this.map);
  }

  async fetchRoads() {
    const found = await get("base", {});
    if (!found) return;
    this.map.attributionControl.addAttribution(found.attribution);
    this.map.getContainer().classList.add("based");
    const form = { renderer: this.renderer, pane: "base", interactive: false };
    this.layers = Object.keys(KINDS).flatMap((kind) => {
      const features = found.features.filter((one) => one.properties.kind === kind);
      return features.map((feature) => ({ kind, layer: L.geoJSON(feature, form) }));
    });
    this.draw();
  }

  /** Draw what belongs to this zoom, in the colours of the theme. */
  draw() {
    const zoom = this.map.getZoom();
    for (const { kind, layer } of this.layers) {
      const [from, narrow, wide] = KINDS[kind];
      if (zoom < from) layer.remove();
      else layer.addTo(this.map).setStyle({ ...this.look(kind), weight: zoom < Math.max(from, 12) + 2 ? narrow : wide });
    }
    this.write();
  }

  look(kind) {
    const flat = kind === "water";
    return { color: colour(`--${kind}`), fill: flat, fillOpacity: 1, dashArray: kind === "path" ? "4 3" : null };
  }

  /** Write the names that belong to this zoom; they are fetched when the first are. */
  async write() {
    const zoom = this.map.getZoom() - Math.max(0, Math.log2(letter() / LARGE));
    const level = known.levels.find((one) => NAMES[one] && zoom >= NAMES[one][0] && zoom < NAMES[one][1]);
    const names = level ? await (this.names[level] ??= fetchNames(level)) : [];
    this.written.clearLayers();
    for (const { name, x, y } of readable(this.map, names)) {
      const span = Object.assign(document.createElement("span"), { textContent: name });
      const icon = L.divIcon({ className: "place-name", iconSize: null, html: span });
      L.marker(this.map.containerPointToLatLng([x, y]), { icon, pane: "names", interactive: false, keyboard: false }).addTo(this.written);
    }
  }
}
