// The figures that map and table show: fetched when the hub says that there are newer ones, as rows with their colours.

import { computed, nextTick, reactive, shallowRef, watch } from "vue";
import { choice, chosenSpan, stepped } from "./address.js";
import { classOf, edges, fixedClasses } from "./scale.js";
import { RANGE, known, understood } from "./words.js";

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
    return answer.ok ? understood(await answer.text()) : null;
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
  const placed = places.value;
  if (found.sensors.id.some((id) => !(id in placed))) await fetchPlaces();
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
  return kept ?? getPast(wanted);
}

/** Fetch figures of sensors and of areas at once: each takes the hub as long as the other. */
async function getPast(wanted) {
  const found = await Promise.all(["sensors", "areas"].map((part) => get("past", { ...wanted, part })));
  return found.every(Boolean) ? Object.assign(...found) : null;
}

/** Fetch the window to which whoever steps or plays comes next. */
function lookAhead(moments) {
  if (!moments.at) return;
  const wanted = { quantity: choice.quantity, lens: choice.lens, ...moments };
  Object.assign(ahead, { key: JSON.stringify(wanted), found: getPast(wanted), until: Date.now() + FRESH });
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
    health.value = understood(data);
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

const isSum = () => known.quantities[choice.quantity].aggregation === "sum";

/** Round steps over values, but for the extremes. */
function stepsOver(values) {
  const sorted = values.filter((value) => value != null).sort((one, other) => one - other);
  const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  return { edges: sorted.length ? edges(at(0.02), at(0.95)) : [], tone: "k" };
}

/** The classes of sensors and areas, the same at every moment unless those of the values are chosen. */
const scale = computed(() => {
  const { start, end } = (choice.lens === RANGE && chosenSpan()) || { start: 0, end: known.lenses[choice.lens] };
  const fixed = fixedClasses(known.classes, choice.classes, choice.quantity, isSum(), (end - start) / HOUR);
  return fixed ?? stepsOver(frame.value?.sensors.value ?? []);
});

/** The classes of a measure of CBS, of a level's areas. */
const measureScale = computed(() => stepsOver(Object.values(statistic.value?.values ?? {})));

/** The rows of one kind, out of the columns of what was found. An area's sum has the class of what it is for each sensor. */
function rows(kind, found, placeOf) {
  const isRange = choice.lens === RANGE;
  const { tone, ...classes } = scale.value;
  const { id: ids = [], state, value, coverage, start, end, flags, estimate, seen, expected, sensors } = found ?? {};
  const shared = isSum() ? sensors : null;
  return ids.map((id, at) => {
    const whole = state[at] === "running" ? (estimate[at] ?? value[at]) : value[at];
    const judged = shared ? whole / shared[at] : whole;
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
      each: shared && value[at] != null ? judged : null,
      tone: value[at] == null ? null : tone + classOf(judged, classes),
      name: place?.name ?? id,
      lat: place?.lat ?? null,
      lon: place?.lon ?? null,
    };
  });
}

const sensors = computed(() => {
  const at = places.value;
  return rows("sensor", frame.value?.sensors, (id) => at[id]);
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
  return rows("area", frame.value?.areas[choice.level], (id) => ({ name: named[id] }));
});

/** The areas as they are coloured: by their figures, or by a measure of CBS. */
const coloured = computed(() => {
  if (!statistic.value) return areas.value;
  const { measure, values } = statistic.value;
  return areas.value.map(({ kind, id, name }) => {
    const value = values[id] ?? null;
    const tone = value == null ? null : `k${classOf(value, measureScale.value)}`;
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
export const figures = { frame, health, contact, scale, measureScale, sensors, areas, coloured, names, start, statistic };
