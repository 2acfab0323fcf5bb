// What the colours and shapes on the map mean.

import { computed } from "vue";
import { choice } from "./address.js";
import { figures, isOther } from "./figures.js";
import { number, say, titled, unit, words } from "./words.js";

const STATES = ["valid", "invalid", "running", "nothing", "failed", "missing", "other"];

function steps(edges) {
  const text = edges.map((edge) => number(edge));
  const between = text.slice(1).map((high, at) => `${text[at]} – ${high}`);
  return [say("below", { edge: text[0] }), ...between, say("from", { edge: text.at(-1) })];
}

export const Legend = {
  template: `
    <div class="legend" role="group" :aria-label="words.legend">
      <div v-for="scale in scales" class="scale" :class="scale.kind">
        <span class="scale-name">{{ scale.name }}</span>
        <ol>
          <li v-for="(text, at) in scale.steps"><i :class="'swatch k' + at"></i>{{ text }}</li>
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
      const { sensors, areas } = figures.scales.value;
      const own = unit(choice.quantity, choice.lens);
      const one = areas.length && String(areas) === String(sensors);
      return [
        {
          kind: "of-sensors",
          name: one ? titled(choice.quantity, choice.lens) : `${words.sensors}, ${own}`,
          edges: sensors,
        },
        { kind: "of-areas", name: `${words.areas}, ${own}`, edges: one ? [] : areas },
      ]
        .filter((scale) => scale.edges.length)
        .map((scale) => ({ ...scale, steps: steps(scale.edges) }));
    });
    const states = computed(() => {
      const seen = new Set(["valid", "missing", ...figures.sensors.value.map((row) => row.state)]);
      if (figures.sensors.value.some(isOther)) seen.add("other");
      return STATES.filter((state) => seen.has(state));
    });
    return { scales, states, words };
  },
};
