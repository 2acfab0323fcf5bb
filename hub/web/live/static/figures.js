// The figures that map and table show: fetched when the hub says that there are newer ones, as rows with their colours.

import { computed, nextTick, reactive, shallowRef, watch } from "vue";
import { choice, chosenSpan } from "./address.js";
import { edges } from "./scale.js";
import { RANGE, known } from "./words.js";

const HOUR = 3600; // s
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
  const { quantity, lens, at, until } = choice;
  const found = await (at ? get("past", { quantity, lens, at, until }) : get("figures", { quantity, lens }));
  if (!found || mine !== asked) return;
  if (found.sensors.rows.some(([id]) => !(id in places.value))) await fetchPlaces();
  if (mine === asked) frame.value = found;
}

/** Listen for news of the view while the page is seen. */
function listen() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource(`live/events?${new URLSearchParams({ quantity: choice.quantity, lens: choice.lens })}`);
  stream.addEventListener("figures", ({ data }) => {
    if (!choice.at && Number(data) !== frame.value?.version) fetchFigures();
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

function row(kind, [id, state, value, coverage, start, end, flags, , estimate, seen, expected], steps, place) {
  const judged = state === "running" && estimate != null ? estimate : value;
  const step = value == null ? null : steps.filter((edge) => judged >= edge).length;
  const { name, lat = null, lon = null } = place ?? {};
  const ranged = choice.lens === RANGE && end - start > HOUR;
  return { kind, id, state, value, coverage, start, end, ranged, flags, seen, expected, step, name: name ?? id, lat, lon };
}

/** The edges of the legend: a mean has one for sensors and areas, a sum one for each. */
const scales = computed(() => {
  const { sensors, areas } = frame.value ?? { sensors: {}, areas: {} };
  const own = [sensors.spread, ...Object.values(areas).map((one) => one.spread)].filter((one) => one?.[0] != null);
  if (!own.length) return { sensors: [], areas: [] };
  const sums = known.quantities[choice.quantity].aggregation === "sum";
  const together = [Math.min(...own.map(([low]) => low)), Math.max(...own.map(([, high]) => high))];
  const of = (spread) => (spread?.[0] == null ? [] : edges(...(sums ? spread : together)));
  return { sensors: of(sensors.spread), areas: of(areas[choice.level]?.spread) };
});

const sensors = computed(() =>
  (frame.value?.sensors.rows ?? []).map((one) => row("sensor", one, scales.value.sensors, places.value[one[0]])),
);

const names = shallowRef({});

const areas = computed(() =>
  (frame.value?.areas[choice.level]?.rows ?? []).map((one) =>
    row("area", one, scales.value.areas, { name: names.value[one[0]] }),
  ),
);

/** The start of the window that is chosen, or that most sensors have. */
const start = computed(() => {
  if (choice.at && choice.lens !== "1d") return chosenSpan().start;
  const count = new Map();
  for (const { value, start } of sensors.value) if (value != null) count.set(start, (count.get(start) ?? 0) + 1);
  return [...count].sort(([, one], [, other]) => other - one)[0]?.[0];
});

/** Whether a figure is of another window than most. */
export const isOther = (row) => row.value != null && row.kind === "sensor" && row.start !== start.value;

/** What everybody sees of the hub; `names` are those of the areas that are drawn. */
export const figures = { frame, health, contact, scales, sensors, areas, names, start };
