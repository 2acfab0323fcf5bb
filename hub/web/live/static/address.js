// What the viewer has chosen: it stands in the address, each choice is an entry of the history, and Back restores it.

import { reactive, ref } from "vue";
import { known, onTheWall, say, words } from "./words.js";

const PARAMETERS = ["quantity", "lens", "level", "show", "sensor", "area", "at", "lang"];
const SHOWN = ["map", "table"];
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/;

export const choice = reactive({});
/** What the address asks for and the page does not know, as sentences. */
export const strange = ref([]);

/** Whether windows of a lens are as long as what is measured of a quantity. */
export function fits(lens, quantity = choice.quantity) {
  return known.lenses[lens] >= (known.shortest[quantity] ?? 0);
}

function firstQuantity() {
  const measured = known.measured;
  return measured.includes("vehicle_count") || !measured.length ? "vehicle_count" : measured[0];
}

const firstLens = (quantity) => Object.keys(known.lenses).find((lens) => fits(lens, quantity));

const defaults = (quantity) => ({
  quantity: firstQuantity(),
  lens: firstLens(quantity),
  level: known.levels.at(-1) ?? "none",
  show: "map",
  sensor: "",
  area: "",
  at: "",
});

/** Give the known value of a parameter, or what stands in for it, which is then said. */
function taken(asked, name, allowed, first) {
  const value = asked.get(name);
  if (value == null || allowed.includes(value)) return value ?? first;
  strange.value.push(say("strange_value", { name, value, expected: allowed.join(", ") }));
  return first;
}

/** Read the address; what it asks for and is not known is said. */
function read() {
  const asked = new URLSearchParams(location.search);
  strange.value = [...asked.keys()]
    .filter((name) => !PARAMETERS.includes(name))
    .map((name) => say("strange_name", { name, expected: PARAMETERS.join(", ") }));
  const quantity = taken(asked, "quantity", Object.keys(known.quantities), firstQuantity());
  taken(asked, "lang", ["nl", "en"], "");
  const lenses = Object.keys(known.lenses).filter((lens) => fits(lens, quantity));
  const first = defaults(quantity);
  Object.assign(choice, {
    quantity,
    lens: taken(asked, "lens", lenses, first.lens),
    level: taken(asked, "level", [...known.levels, "none"], first.level),
    show: taken(asked, "show", SHOWN, first.show),
    at: taken(asked, "at", [MOMENT.test(asked.get("at")) ? asked.get("at") : "2026-11-28T09:00"], ""),
    sensor: asked.get("sensor") ?? "",
    area: asked.get("sensor") ? "" : (asked.get("area") ?? ""),
  });
}

/** Choose something else, and put it into the address. */
export function choose(values) {
  Object.assign(choice, values);
  if (values.lens?.endsWith("-now")) choice.at = "";
  if (choice.at) choice.lens = choice.lens.slice(0, 2); // what has passed does not run
  if (!fits(choice.lens)) choice.lens = firstLens(choice.quantity);
  const address = new URL(location.href);
  const first = defaults(choice.quantity);
  for (const [name, value] of Object.entries(choice)) {
    if (value === first[name]) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  strange.value = [];
  if (address.href !== location.href) history.pushState(null, "", address);
}

/** Go on by some windows from a moment, or from `start` (on the wall) of the window that is shown now. */
export function step(windows, start) {
  const shifted = Date.parse(`${choice.at}Z`) + windows * known.lenses[choice.lens] * 1000;
  const at = choice.at ? new Date(shifted).toISOString().slice(0, 16) : start;
  choose({ at: at > onTheWall(Date.now() / 1000) ? "" : at });
}

/** Open a sensor or an area, of the quantity that an alert is about where it is one. */
export function open(kind, id, quantity = choice.quantity) {
  choose({ quantity, sensor: "", area: "", [kind]: id });
}

export const close = () => choose({ sensor: "", area: "" });

/** The kind and id of what is open, or null. */
export function opened() {
  if (choice.sensor) return { kind: "sensor", id: choice.sensor };
  return choice.area ? { kind: "area", id: choice.area } : null;
}

/** Say that what the address opens is not known. */
export function unknown(kind, id) {
  const text = say("strange_subject", { kind: words[kind], id });
  if (!strange.value.includes(text)) strange.value.push(text);
}

addEventListener("popstate", read);
read();
