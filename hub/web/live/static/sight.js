// What the map shows, as a list: the map is one stop of the keyboard, and this is behind it.

import { computed } from "vue";
import { choice, open } from "./address.js";
import { bounds, listing } from "./map.js";
import { figures } from "./figures.js";
import { judged } from "./judged.js";
import { number, say, unit, words } from "./words.js";

const MOST = 100; // that are listed

export const InSight = {
  template: `
    <details class="in-sight" id="in-sight" :open="listing" @toggle="listing = $event.target.open">
      <summary>{{ say('in_sight', { count: seen.length }) }}</summary>
      <ul class="plain small scroll" tabindex="0" :aria-label="words.sensors">
        <li v-for="row in listed" :key="row.id">
          <button type="button" class="link" @click="open('sensor', row.id)">{{ row.name }}</button>
          <span>{{ row.value == null ? judged(row) : number(row.value) + ' ' + own }}</span>
        </li>
      </ul>
    </details>`,
  setup() {
    const seen = computed(() => {
      const within = bounds.value;
      return figures.sensors.value.filter((row) => row.lat != null && (!within || within.contains([row.lat, row.lon])));
    });
    const listed = computed(() =>
      listing.value ? seen.value.toSorted((one, other) => (other.value ?? -Infinity) - (one.value ?? -Infinity)).slice(0, MOST) : [],
    );
    const own = computed(() => unit(choice.quantity, choice.lens));
    return { judged, listed, listing, number, open, own, say, seen, words };
  },
};
