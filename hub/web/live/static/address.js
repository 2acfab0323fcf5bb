// What the viewer has chosen: it stands in the address, each choice is an entry of the history, and Back restores it.

import { reactive, ref, watch } from "vue";
import { RANGE, known, onTheWall, say, stampOf, words } from "./words.js";

const HOUR = 3600; // s
const LONGEST = 31 * 24 * HOUR; // s of a range
const SHOWN = ["map", "table"];
const ROWS = ["sensors", "areas"];
const COLOURS = ["value", "usual"];
const CLASSES = [...Object.keys(known.classes.schemes), "auto"];
const COLUMNS = ["name", "value", "start", "coverage", "state"];
const SORTED = [...COLUMNS, ...COLUMNS.map((column) => `-${column}`)];
const MOMENT = /^(19[7-9]\d|20\d\d)-\d\d-\d\d(T\d\d:\d\d([+-]\d\d:\d\d)?)?$/;
const EXAMPLE = "2026-11-28T09:00";
const MIDDLE = /^-?\d+(\.\d+)?,-?\d+(\.\d+)?,\d+(\.\d+)?$/;

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

/** The last full hour where there are areas, which have figures of hours; else the shortest window that fits. */
function firstLens(quantity) {
  const first = known.levels.length && fits("1h", quantity) ? "1h" : null;
  return first ?? Object.keys(known.lenses).find((lens) => fits(lens, quantity));
}

/** What is chosen where the address says nothing; these and `lang` are its parameters. */
const defaults = (quantity) => ({
  quantity: firstQuantity(),
  lens: firstLens(quantity),
  at: "",
  until: "",
  colour: "value",
  classes: CLASSES[0],
  level: known.levels.at(-1) ?? "none",
  measure: "",
  map: "",
  show: "map",
  rows: "sensors",
  sort: "name",
  sensor: "",
  area: "",
  compare: "",
  embed: "",
  wall: "",
  theme: "",
});

const isMoment = (text) => MOMENT.test(text) && !Number.isNaN(stampOf(text));
const isPast = (text) => isMoment(text) && stampOf(text) <= Date.now() / 1000;

/** Give the known value of a parameter, or what stands in for it, which is then said. */
function taken(asked, name, allowed, first) {
  const value = asked.get(name);
  if (value == null || allowed(value)) return value ?? first;
  const { names, example } = allowed;
  strange.value.push(say(names ? "strange_value" : "strange_form", { name, value, expected: names ?? example }));
  return first;
}

const oneOf = (names) => Object.assign((value) => names.includes(value), { names: names.join(", ") });
const like = (example, fit) => Object.assign((value) => fit(value), { example });

/** Read the address; what it asks for and is not known is said. */
export function read() {
  const asked = new URLSearchParams(location.search);
  const parameters = [...Object.keys(defaults()), "lang", "view"];
  strange.value = [...new Set(asked.keys())]
    .filter((name) => !parameters.includes(name))
    .map((name) => say("strange_name", { name, expected: parameters.join(", ") }));
  const quantity = taken(asked, "quantity", oneOf(Object.keys(known.quantities)), firstQuantity());
  taken(asked, "lang", oneOf(["nl", "en"]), "");
  const lenses = Object.keys(known.lenses).filter((lens) => fits(lens, quantity));
  const first = defaults(quantity);
  const one = (name, allowed) => taken(asked, name, allowed, first[name]);
  const moment = (fit) => like(EXAMPLE, fit);
  Object.assign(choice, {
    quantity,
    lens: one("lens", oneOf(lenses)),
    at: one("at", moment(isPast)),
    until: one("until", moment(isMoment)),
    colour: one("colour", oneOf(COLOURS)),
    classes: one("classes", oneOf(CLASSES)),
    level: one("level", oneOf([...known.levels, "none"])),
    measure: one("measure", oneOf(known.measures)),
    map: one("map", like("53.22,6.57,13", (value) => MIDDLE.test(value))),
    show: one("show", oneOf(SHOWN)),
    rows: one("rows", oneOf(ROWS)),
    sort: one("sort", oneOf(SORTED)),
    theme: one("theme", oneOf(["light", "dark"])),
    embed: one("embed", oneOf(["1"])),
    wall: one("wall", like("20", (value) => /^\d{1,4}$/.test(value) && value >= 5)),
    compare: asked.get("compare") ?? "",
    sensor: asked.get("sensor") ?? "",
    area: asked.get("sensor") ? "" : (asked.get("area") ?? ""),
  });
  settle();
}

/** A moment as the beginning of its window: a date of days, else down to whole hours or 5 minutes. */
function floored(moment, lens) {
  if (lens === "1d") return moment.slice(0, 10);
  const [date, clock = "00:00"] = moment.split("T");
  const minutes = lens === "5m" ? String(Math.floor(clock.slice(3, 5) / 5) * 5).padStart(2, "0") : "00";
  return `${date}T${clock.slice(0, 3)}${minutes}${clock.slice(5)}`;
}

/** Make what is chosen fit together: what is to come is now, what has passed does not run, a range has a length, usual is an hour. */
function settle() {
  if (choice.at && !isPast(choice.at)) choice.at = "";
  if (!fits("1h")) choice.colour = "value";
  if (choice.colour === "usual") choice.lens = "1h";
  if (!fits(choice.lens)) choice.lens = firstLens(choice.quantity);
  if (choice.at) {
    choice.lens = choice.lens.replace("-now", "");
    choice.at = floored(choice.at, choice.lens);
  }
  if (!choice.at || choice.lens !== RANGE) choice.until = "";
  if (!choice.until) return;
  choice.until = floored(choice.until, RANGE);
  const length = stampOf(choice.until) - stampOf(choice.at);
  if (length <= 0) choice.until = "";
  if (length > LONGEST) choice.until = onTheWall(stampOf(choice.at) + LONGEST);
}

/** Choose something else, and put it into the address; what is not an `entry` of the history replaces the last. */
export function choose(values, entry = true) {
  if (["at", "until"].some((name) => values[name] && !isMoment(values[name]))) return; // half typed
  Object.assign(choice, values);
  if (values.lens?.endsWith("-now")) choice.at = "";
  if (values.lens && values.lens !== "1h") choice.colour = "value";
  settle();
  const address = new URL(location.href);
  const first = defaults(choice.quantity);
  for (const [name, value] of Object.entries(choice)) {
    if (value === first[name]) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  if (entry) strange.value = [];
  if (address.href === location.href) return;
  if (entry) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

/** From when to when (s since 1970) the chosen window or range is; null where the newest is shown. */
export function chosenSpan() {
  if (!choice.at) return null;
  const start = stampOf(choice.at);
  return { start, end: choice.until ? stampOf(choice.until) : start + known.lenses[choice.lens] };
}

/** The moments some windows, or whole ranges, from what is chosen, or from `start`; what is not over yet is now. */
export function stepped(windows, start) {
  const { lens, until } = choice;
  const span = chosenSpan() ?? { start, end: start + known.lenses[lens] };
  const length = span.end - span.start;
  // Days are counted on the wall, where one may have 23 hours.
  const on = (moment) =>
    lens === "1d"
      ? new Date(Date.parse(`${onTheWall(moment)}Z`) + windows * length * 1000).toISOString().slice(0, 10)
      : onTheWall(moment + windows * length);
  const over = stampOf(on(span.start)) + length <= Date.now() / 1000;
  return over ? { at: on(span.start), until: until && on(span.end) } : { at: "" };
}

/** Go on by some windows, as `stepped` says. */
export const step = (windows, start, entry = true) => choose(stepped(windows, start), entry);

/** Open a sensor or an area, of the quantity that an alert is about where it is one: a clock or an index is none. */
export function open(kind, id, quantity) {
  choose({ quantity: known.quantities[quantity] ? quantity : choice.quantity, sensor: "", area: "", [kind]: id });
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

const { dataset } = document.documentElement;
const firstTheme = dataset.theme;
addEventListener("popstate", read);
read();
watch(
  () => choice.theme,
  (theme) => (dataset.theme = theme || firstTheme),
);
