// Beside the open alerts: those that are over, the silences, and the rules that are judged. Each is fetched when it is opened.

import { reactive } from "vue";
import { against, titleOf } from "./alerts.js";
import { fetchItems } from "./hours.js";
import { moment, say, words } from "./words.js";

const NEWEST = 40; // alerts that are listed

const LISTS = {
  history: ["alerts", { open: false, limit: NEWEST }],
  silences: ["alerts/silences", {}],
  rules: ["alerts/rules", { limit: 1000 }],
};
const TITLES = { history: "alerts_history", silences: "alerts_silences", rules: "alerts_rules" };

export const Past = {
  props: ["mayAct"],
  template: `
    <details v-for="(_, what) in LISTS" :id="'alerts-' + what" @toggle="$event.target.open && look(what)">
      <summary>{{ words[TITLES[what]] }}</summary>
      <p v-if="found[what] && !found[what].length" class="quiet">{{ words.none_of_these }}</p>
      <ul v-if="what === 'history'" class="plain small">
        <li v-for="one in found.history" class="wrapped">
          <span>{{ words['severity.' + one.severity] }}: {{ titleOf(one) }}</span>
          <span>{{ one.name ?? one.subject }}</span>
          <span class="quiet">{{ moment(one.since) }}<template v-if="one.cleared_at"> – {{ moment(one.until ?? one.cleared_at) }}</template>,
            {{ against(one.worst, one) }}</span>
        </li>
      </ul>
      <ul v-else-if="what === 'silences'" class="plain small">
        <li v-for="one in found.silences" class="wrapped">
          <span>{{ one.rule }} · {{ one.subject }}</span>
          <span class="quiet">{{ one.last ? say('silent_until', { time: moment(one.last) }) : words.until_further }};
            {{ one.made_by }}: {{ one.reason }}</span>
          <button v-if="mayAct" type="button" class="link" @click="end(one.silence)">{{ words.end_silence }}</button>
        </li>
      </ul>
      <ul v-else class="plain small">
        <li v-for="one in found.rules" class="wrapped">
          <span>{{ words['severity.' + one.severity] }}: {{ titleOf(one) }}</span>
          <span class="quiet">{{ one.rule }} · {{ one.level }} · {{ one.pack }}</span>
        </li>
      </ul>
    </details>`,
  setup() {
    const found = reactive({ history: null, silences: null, rules: null });
    const look = async (what) => (found[what] = await fetchItems(...LISTS[what]));
    async function end(silence) {
      await fetch(`live/alerts/silences/${silence}`, { method: "DELETE" });
      await look("silences");
    }
    return { LISTS, TITLES, against, end, found, look, moment, say, titleOf, words };
  },
};
