// What the colours and shapes on the map mean.

import { computed } from "vue";
import { choice } from "./address.js";
import { figures, isOther } from "./figures.js";
import { usualWord } from "./usual.js";
import { measured, number, period, say, statistic, titled, words } from "./words.js";

const EUROS = "1000 EUR";
const STATES = ["valid", "unjudged", "invalid", "running", "nothing", "missing", "other"];
const UNLIKE = { failed: "missing" }; // states that look like others: the sensor says which it is
const UNJUDGED = { ...UNLIKE, valid: "unjudged", invalid: "unjudged", running: "unjudged" };

function steps({ edges, above, scheme, said = number }) {
  const text = edges.map((edge) => said(edge));
  const named = edges.map((_, at) => words[`class_${scheme}.${at}`]);
  const between = text.slice(1).map((high, at) => `${text[at]} – ${high}`);
  const first = say(above ? "up_to" : "below", { edge: text[0] });
  const ranges = [first, ...between, say(above ? "above" : "from", { edge: text.at(-1) })];
  named.push(words[`class_${scheme}.${edges.length}`]);
  return ranges.map((range, at) => (named[at] ? `${named[at]} (${range})` : range));
}

/** The unit of a measure where neither its name nor each of its figures has it. */
export function unitOf({ measure, unit }) {
  const text = say(`unit.${unit}`, {}, unit);
  return unit === EUROS || measured(measure).includes(text) ? "" : text;
}

export const Legend = {
  template: `
    <div class="legend" role="group" :aria-label="words.legend">
      <div v-for="scale in scales" class="scale" :class="scale.kind">
        <span class="scale-name">{{ scale.name }}</span>
        <ol>
          <li v-for="(text, at) in scale.steps"><i :class="'swatch ' + scale.tone + at"></i>{{ text }}</li>
        </ol>
      </div>
      <ul class="states">
        <li v-for="state in states">
          <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
            <circle cx="10" cy="10" r="6.5" :class="'spot k3 ' + state"/>
          </svg>
          {{ words['state.' + state] }}
        </li>
      </ul>
      <svg width="0" height="0" aria-hidden="true" class="patterns">
        <defs>
          <pattern v-for="[id, size] in [['hatch', 7], ['hatch-spot', 4]]" :id="id" :width="size" :height="size"
                   patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect :width="size" :height="size" class="hatch-ground"/>
            <line x1="0" y1="0" x2="0" :y2="size" :class="['hatch-line', { dense: size < 5 }]"/>
          </pattern>
        </defs>
      </svg>
    </div>`,
  setup() {
    const scales = computed(() => {
      const told = figures.statistic.value;
      const ofMeasure = told && {
        kind: "of-areas",
        name: [`${words.areas}: ${measured(told.measure)}`, unitOf(told), period(told.period)].filter(Boolean).join(", "),
        said: told.unit === EUROS ? (edge) => statistic(edge, EUROS) : number,
        ...figures.measureScale.value,
      };
      const each = !told && figures.areas.value.some((row) => row.each != null);
      const title = titled(choice.quantity, choice.lens) + (each ? words.areas_each : "");
      const own = { kind: "of-sensors", name: title, ...figures.scale.value };
      const unusual = { kind: "of-sensors", name: `${words[`quantity.${choice.quantity}`]}, ${words.colour_usual}`, tone: "d", steps: [0, 1, 2, 3, 4].map(usualWord) };
      return [choice.colour === "usual" ? unusual : own, ofMeasure]
        .filter((one) => one?.steps || one?.edges.length)
        .map((one) => ({ ...one, steps: one.steps ?? steps(one) }));
    });
    const states = computed(() => {
      const as = choice.colour === "usual" ? UNJUDGED : UNLIKE;
      const seen = new Set(["valid", "missing", ...figures.sensors.value.map((row) => row.state)].map((state) => as[state] ?? state));
      if (figures.sensors.value.some(isOther)) seen.add("other");
      return STATES.filter((state) => seen.has(state));
    });
    return { scales, states, words };
  },
};
