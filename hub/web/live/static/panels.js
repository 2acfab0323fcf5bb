// How the hub is at this moment, and its silent sensors.

import { computed } from "vue";
import { open } from "./address.js";
import { figures } from "./figures.js";
import { NamedList } from "./lists.js";
import { moment, number, say, words } from "./words.js";

export const LATE = 60; // s that a closed hour waits for the roll-up before the page says so

const health = figures.health;

export const HealthPanel = {
  template: `
    <section class="card">
      <h2>{{ words.at_this_moment }}</h2>
      <p v-if="health?.away" class="alarm">{{ words.away_now }}</p>
      <p v-if="health?.lag > late" class="alarm">{{ words.rolling_up }}</p>
      <dl class="numbers">
        <div v-for="(text, name) in numbers"><dt>{{ words[name] }}</dt><dd>{{ text }}</dd></div>
      </dl>
    </section>`,
  setup() {
    const shown = (value, digits = 9) => (value == null ? "–" : number(value, digits));
    const rate = (value) => (value == null ? "–" : number(Math.round(value * 10) / 10));
    const numbers = computed(() => {
      const found = health.value?.away ? {} : (health.value ?? {});
      const lag = found.lag == null ? words.lag_none : `${number(found.lag / 60)} min`;
      return {
        rate: rate(found.rate),
        messages: rate(found.messages),
        in_flight: shown(found.in_flight),
        lag: found.letters == null ? "–" : lag,
        letters: shown(found.letters),
        viewers: shown(found.viewers),
      };
    });
    return { health, late: LATE, numbers, words };
  },
};

export const SilentPanel = {
  components: { NamedList },
  template: `
    <NamedList name="silent" none="silent_none" v-slot="{ one: [id, name, last] }">
      <li>
        <button type="button" class="link" @click="open('sensor', id)">{{ name ?? id }}</button>
        <span class="quiet">{{ last ? say('since', { time: moment(last) }) : words.never }}</span>
      </li>
    </NamedList>`,
  setup: () => ({ moment, open, say, words }),
};
