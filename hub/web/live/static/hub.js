// The hub itself: on the main page a line that is quiet when all is well, and a page of its own at `health`.

import { computed, onBeforeUnmount, shallowRef } from "vue";
import { figures, get } from "./figures.js";
import { fetchJson } from "./hours.js";
import { HealthPanel, LATE, SilentPanel } from "./panels.js";
import { known, moment, number, say, share, words } from "./words.js";

const AGAIN = 10_000; // ms between two looks
const SELDOM = 6; // looks for each at the findings, which ask the database for much
const MARKS = [[false, words.finding_bad], [true, words.finding_good], [null, ""]]; // of findings, in their order

export const isHubPage = () => location.pathname.endsWith("/health");

/** One line: nothing but a way to the page where all is well. */
export const HubLine = {
  template: `
    <p class="hub-line small" id="hub-line" role="status">
      <a href="health" :class="{ alarm: trouble }">{{ trouble || words.hub_well }}</a>
    </p>`,
  setup() {
    const trouble = computed(() => {
      const health = figures.health.value;
      if (health?.away) return words.away_now;
      return health?.lag > LATE ? words.rolling_up : "";
    });
    return { trouble, words };
  },
};

export const HubPage = {
  components: { HealthPanel, SilentPanel },
  template: `
    <main class="hub-page">
      <p><a href="./">‹ {{ words.to_the_map }}</a></p>
      <section class="card">
        <h2>{{ words.health }}</h2>
        <p v-if="ready" role="status" :class="{ alarm: !ready.ready || ready.trouble.length }" id="hub-ready">{{ said }}</p>
        <ul v-if="ready?.trouble.length" class="plain">
          <li v-for="text in ready.trouble" class="alarm">{{ text }}</li>
        </ul>
        <dl class="numbers">
          <div v-for="[name, text] in facts"><dt>{{ words['hub.' + name] }}</dt><dd>{{ text }}</dd></div>
        </dl>
      </section>
      <section v-if="findings.length" class="card scroll" id="findings" tabindex="0" :aria-label="words.findings">
        <table class="figures narrow even">
          <caption>{{ words.findings }}</caption>
          <tbody lang="en">
            <tr v-for="[what, found, mark] in findings">
              <th scope="row">{{ what }}</th><td>{{ found }}</td>
              <td :class="{ alarm: mark === words.finding_bad }" :lang="known.language">{{ mark }}</td>
            </tr>
          </tbody>
        </table>
        <p class="quiet small">{{ words.findings_note }}</p>
      </section>
      <div class="two"><HealthPanel/><SilentPanel/></div>
    </main>`,
  setup() {
    const ready = shallowRef(null);
    const numbers = shallowRef(null);
    const findings = shallowRef([]);
    let looks = 0;
    async function look() {
      [ready.value, numbers.value] = await Promise.all([fetchJson("readyz"), fetchJson("api/v1/health")]);
      ready.value ??= { ready: false, trouble: [] };
      if (looks++ % SELDOM) return;
      const found = (await get("findings", {})) ?? []; // null of a public hub
      findings.value = MARKS.flatMap(([good, mark]) => found.filter((one) => one[2] === good).map(([what, text]) => [what, text, mark]));
    }
    const said = computed(() => words[!ready.value.ready ? "hub_not_ready" : ready.value.trouble.length ? "hub_trouble" : "hub_well"]);
    const facts = computed(() => {
      const { sensors, sensors_without_place, series, dead_letters, closed_until, reconciled, frozen_days } = numbers.value ?? {};
      const { broker_held, broker_queue } = ready.value ?? {};
      const dated = (stamp) => (stamp ? moment(stamp) : "–");
      return Object.entries({
        sensors: number(sensors, 9),
        sensors_without_place: number(sensors_without_place, 9),
        series: number(series, 9),
        dead_letters: number(dead_letters, 9),
        closed_until: dated(closed_until),
        reconciled: dated(reconciled),
        frozen_days: number(frozen_days, 9),
        ...(broker_queue && { broker: say("of_queue", { held: number(broker_held, 9), share: share(broker_held / broker_queue) }) }),
      });
    });
    look();
    const due = setInterval(look, AGAIN);
    onBeforeUnmount(() => clearInterval(due));
    return { facts, findings, known, ready, said, words };
  },
};
