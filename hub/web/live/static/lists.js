// What the panels beside the map share: a list with its length.

import { computed } from "vue";
import { figures } from "./figures.js";
import { say, words } from "./words.js";

/** A list whose title has its length, and that names its first entries only. */
export const NamedList = {
  props: ["name", "none"],
  template: `
    <section v-if="list" class="card">
      <h2>{{ words[name] }} ({{ list.count }})</h2>
      <ul class="plain">
        <li v-if="!list.count">{{ words[none] }}</li>
        <slot v-for="one in list.first" :one="one"></slot>
        <li v-if="more > 0" class="quiet">{{ say('and_more', { count: more }) }}</li>
      </ul>
      <slot name="after"></slot>
    </section>`,
  setup(props) {
    const list = computed(() => figures.health.value?.[props.name]);
    const more = computed(() => list.value.count - list.value.first.length);
    return { list, more, say, words };
  },
};
