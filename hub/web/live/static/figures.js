// The figures that map and table show: fetched when the hub says that there are newer ones, as rows with their colours.

import { computed, nextTick, reactive, shallowRef, watch } from "vue";
import { choice, chosenSpan, stepped } from "./address.js";
import { classOf, edges, fixedClasses, isSpeed } from "./scale.js";
import { RANGE, known } from "./words.js";

const HOUR = 3600; // s
const FRESH = 60_000; // ms that the window after the shown one is kept
const AGAIN = 5000; // ms after which a stream that was refused is asked for again

const frame = shallowRef(null);
const places = shallowRef({});
const health = shallowRef(null);
const contact = reactive({ lost: false });
let stream = null;
let coming = null;

/** Fetch JSON from the hub, with those parameters that are not empty; null where it does not answer. */
export async function get(path, parameters) {
  const asked = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  try {
    const answer = await fetch(`live/${path}?${asked}`);
    contact.lost = answer.status >= 500;
    return answer.ok ? await answer.json() : null;
  } catch {
    contact.lost = true;
    return null;
  }
}

let asked = 0;

async function fetchPlaces() {
  const quantity = choice.quantity;
  const found = await get("places", { quantity });
  if (found && quantity === choice.quantity) {
    places.value = Object.fromEntries(found.map(([id, name, lon, lat]) => [id, { name, lon, lat }]));
  }
}

async function fetchFigures() {
  const mine = ++asked;
  const { at, until } = choice;
  const found = at ? await fetchPast({ at, until }) : await get("figures", { quantity: choice.quantity, lens: choice.lens });
  if (!found || mine !== asked) return;
  if (found.sensors.id.some((id) => !(id in places.value))) await fetchPlaces();
  if (mine !== asked) return;
  frame.value = found;
  await nextTick();
  document.documentElement.dataset.shown = at || "now"; // for whoever waits for it from outside
  if (at && before && at !== before) lookAhead(stepped(at > before ? 1 : -1));
  before = at;
}

let before = "";
const ahead = { key: "", found: null, until: 0 };

/** The figures of a window or range, which may have been fetched ahead. */
async function fetchPast(moments) {
  const wanted = { quantity: choice.quantity, lens: choice.lens, ...moments };
  const kept = ahead.key === JSON.stringify(wanted) && Date.now() < ahead.until ? await ahead.found : null;
  return kept ?? get("past", wanted);
}

/** Fetch the window to which whoever steps or plays comes next. */
function lookAhead(moments) {
  if (!moments.at) return;
  const wanted = { quantity: choice.quantity, lens: choice.lens, ...moments };
  Object.assign(ahead, { key: JSON.stringify(wanted), found: get("past", wanted), until: Date.now() + FRESH });
}

/** Listen for news of the view while the page is seen. */
function listen() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource(`live/events?${new URLSearchParams({ quantity: choice.quantity, lens: choice.lens })}`);
  stream.addEventListener("figures", ({ data }) => {
    if (!choice.at && Number(data) !== frame.value?.at) fetchFigures();
  });
  stream.addEventListener("health", ({ data }) => {
    health.value = JSON.parse(data);
    contact.lost = Boolean(health.value.away);
  });
  stream.addEventListener("error", ({ target }) => {
    contact.lost = true;
    if (target.readyState === EventSource.CLOSED) setTimeout(() => target === stream && listen(), AGAIN);
  });
}

/** Fetch and follow the figures of what is chosen, from now on. */
export function follow() {
  document.addEventListener("visibilitychange", listen);
  watch(
    () => [choice.quantity, choice.lens],
    () => {
      frame.value = null;
      listen();
    },
    { immediate: true },
  );
  watch(() => [choice.level, choice.measure], fetchStatistic, { immediate: true });
  watch(
    () => [choice.quantity, choice.lens, choice.at, choice.until],
    () => (coming = fetchFigures()),
    { immediate: true },
  );
}

/** Wait until the figures of what was just chosen are there. */
export async function arrived() {
  await nextTick();
  await coming;
}

/**
 * The classes of the legend, fixed where they can be: a mean has one for sensors and areas, a sum one for each, a measure
 * of CBS its own.
 */
const scales = computed(() => {
  const { sensors, areas } = frame.value ?? { sensors: {}, areas: {} };
  const own = [sensors.spread, ...Object.values(areas).map((one) => one.spread)].filter((one) => one?.[0] != null);
  const told = Object.values(statistic.value?.values ?? {}).sort((one, other) => one - other);
  const at = (share) => told[Math.floor(share * (told.length - 1))];
  const none = { edges: [], tone: "k" };
  const measure = told.length ? { ...none, edges: edges(at(0.02), at(0.95)) } : none;
  if (!own.length) return { sensors: none, areas: none, measure };
  const sums = known.quantities[choice.quantity].aggregation === "sum";
  const together = [Math.min(...own.map(([low]) => low)), Math.max(...own.map(([, high]) => high))];
  const fixed = fixedClasses(known.classes, choice.classes, choice.quantity, sums, choice.lens);
  const tone = isSpeed(choice.quantity) ? "s" : "k";
  const of = (spread) => (spread?.[0] == null ? none : { edges: edges(...(sums ? spread : together)), tone });
  const ofAreas = areas[choice.level]?.spread;
  return { sensors: fixed ?? of(sensors.spread), areas: sums || !fixed || !ofAreas ? of(ofAreas) : fixed, measure };
});

/** The rows of one kind, out of the columns of what was found. */
function rows(kind, found, scale, placeOf) {
  const isRange = choice.lens === RANGE;
  const { id: ids = [], state, value, coverage, start, end, flags, estimate, seen, expected } = found ?? {};
  return ids.map((id, at) => {
    const judged = state[at] === "running" ? (estimate[at] ?? value[at]) : value[at];
    const place = placeOf(id);
    return {
      kind,
      id,
      state: state[at],
      value: value[at],
      coverage: coverage[at],
      start: start[at],
      end: end[at],
      ranged: isRange && end[at] - start[at] > HOUR,
      flags: flags[at],
      seen: seen[at],
      expected: expected[at],
      tone: value[at] == null ? null : scale.tone + classOf(judged, scale),
      name: place?.name ?? id,
      lat: place?.lat ?? null,
      lon: place?.lon ?? null,
    };
  });
}

const sensors = computed(() => {
  const at = places.value;
  return rows("sensor", frame.value?.sensors, scales.value.sensors, (id) => at[id]);
});

const names = shallowRef({});
const statistic = shallowRef(null);

/** Fetch the measure of CBS that areas are coloured by, where one is chosen. */
async function fetchStatistic() {
  const { level, measure } = choice;
  const found = measure && level !== "none" ? await get("statistic", { level, measure }) : null;
  if (level === choice.level && measure === choice.measure) statistic.value = found && { measure, ...found };
}

const areas = computed(() => {
  const named = names.value;
  return rows("area", frame.value?.areas[choice.level], scales.value.areas, (id) => ({ name: named[id] }));
});

/** The areas as they are coloured: by their figures, or by a measure of CBS. */
const coloured = computed(() => {
  if (!statistic.value) return areas.value;
  const { measure, values } = statistic.value;
  return areas.value.map(({ kind, id, name }) => {
    const value = values[id] ?? null;
    const tone = value == null ? null : `k${scales.value.measure.edges.filter((edge) => value >= edge).length}`;
    return { kind, id, name, value, tone, measure, state: value == null ? "missing" : "valid" };
  });
});

/** The start of the window that is chosen, or that most sensors have. */
const start = computed(() => {
  if (choice.at && choice.lens !== "1d") return chosenSpan().start;
  const count = new Map();
  for (const { value, start } of sensors.value) if (value != null) count.set(start, (count.get(start) ?? 0) + 1);
  return [...count].sort(([, one], [, other]) => other - one)[0]?.[0];
});

/** Whether a figure is of another window than most. */
export const isOther = (row) => row.value != null && row.kind === "sensor" && row.start !== start.value;

/** What everybody sees of the hub; `names` are those of the areas that are drawn, `statistic` what they are coloured by. */
export const figures = { frame, health, contact, scales, sensors, areas, coloured, names, start, statistic };
