// The busiest of the shown window, or the slowest of speeds: what stands out, without looking for it.

import { computed } from "vue";
import { choice, open } from "./address.js";
import { figures } from "./figures.js";
import { toneOf } from "./judged.js";
import { isSpeed } from "./scale.js";
import { known, number, unit, words } from "./words.js";

const NAMED = 5;

export const RankPanel = {
  template: `
    <section v-if="ranked.length" class="card" id="ranking">
      <h2>{{ title }}</h2>
      <ol class="plain ranked">
        <li v-for="row in ranked">
          <button type="button" class="link" @click="open('sensor', row.id)">{{ row.name }}</button>
          <strong><i v-if="toneOf(row)" :class="'swatch ' + toneOf(row)"></i> {{ number(row.value) }} <span class="quiet small">{{ own }}</span></strong>
        </li>
      </ol>
    </section>`,
  setup() {
    const isSlow = computed(() => isSpeed(choice.quantity));
    const isSum = computed(() => known.quantities[choice.quantity].aggregation === "sum");
    const ranked = computed(() => {
      const sign = isSlow.value ? -1 : 1;
      const first = [];
      for (const row of figures.sensors.value) {
        const last = first.length < NAMED ? -Infinity : sign * first.at(-1).value;
        if (row.state !== "valid" || sign * row.value <= last || row.id.startsWith("group/")) continue;
        first.push(row);
        first.sort((one, other) => sign * (other.value - one.value)).splice(NAMED);
      }
      return first;
    });
    const title = computed(() => words[isSlow.value ? "slowest" : isSum.value ? "busiest" : "highest_of"]);
    const own = computed(() => unit(choice.quantity, choice.lens));
    return { number, open, own, ranked, title, toneOf, words };
  },
};
