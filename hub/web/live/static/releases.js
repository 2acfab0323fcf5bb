// Releases: frozen tables that can be cited, each with its files. Fetched when they are opened.

import { shallowRef } from "vue";
import { fetchItems } from "./hours.js";
import { moment, words } from "./words.js";

export const ReleasesPanel = {
  template: `
    <details class="card" id="releases" @toggle="$event.target.open && look()">
      <summary><h2>{{ words.releases }}</h2></summary>
      <p v-if="releases && !releases.length" class="quiet small">{{ words.releases_none }}</p>
      <ul class="plain small">
        <li v-for="one in releases" class="wrapped">
          <strong>{{ one.title }}</strong>
          <span class="quiet">{{ one.from }} – {{ one.to }}, {{ words.frozen_at }} {{ moment(one.made_at) }}; {{ one.licence }}</span>
          <span>{{ one.citation }}</span>
          <span class="quiet">{{ words.files }} {{ one.files.join(', ') }}</span>
        </li>
      </ul>
    </details>`,
  setup() {
    const releases = shallowRef(null);
    const look = async () => (releases.value = await fetchItems("releases", { limit: 1000 }));
    return { look, moment, releases, words };
  },
};
