// The panels beside the map: how the hub is, its silent sensors, and its open alerts with what may be done about them.

import { computed, reactive } from "vue";
import { open } from "./address.js";
import { figures } from "./figures.js";
import { known, moment, number, say, words } from "./words.js";

const LATE = 60; // s that a closed hour waits for the roll-up before the page says so
const SILENT = 2 * 3600 * 1000; // ms that the button silences an alert

const health = figures.health;

export const HealthPanel = {
  template: `
    <section class="card">
      <h2>{{ words.health }}</h2>
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

/** A list whose title has its length, and that names its first entries only. */
const NamedList = {
  props: ["name", "none"],
  template: `
    <section v-if="list" class="card">
      <h2>{{ words[name] }} ({{ list.count }})</h2>
      <ul class="plain">
        <li v-if="!list.count">{{ words[none] }}</li>
        <slot v-for="one in list.first" :one="one"></slot>
        <li v-if="more > 0" class="quiet">{{ say('and_more', { count: more }) }}</li>
      </ul>
    </section>`,
  setup(props) {
    const list = computed(() => health.value?.[props.name]);
    const more = computed(() => list.value.count - list.value.first.length);
    return { list, more, say, words };
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

async function post(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    return (await fetch(`live/alerts/${path}`, options)).ok;
  } catch {
    return false;
  }
}

const ACTIONS = {
  acknowledge: (alert) => post(`${alert.alert}/ack`, { by: words.live_page }),
  silence: ({ rule, subject }) =>
    post("silences", {
      rule: literally(rule),
      subject: literally(subject),
      to: new Date(Date.now() + SILENT).toISOString(),
      by: words.live_page,
      reason: words.live_page,
    }),
};

/** A pattern that matches this text alone. */
const literally = (text) => text.replace(/[*?[]/g, "[$&]");

export const AlertsPanel = {
  components: { NamedList },
  template: `
    <NamedList name="alerts" none="alerts_none" v-slot="{ one }">
      <li class="wrapped">
        <span class="alarm">{{ words['severity.' + one.severity] }}: {{ title(one) }}</span>
        <button type="button" class="link" @click="show(one)">{{ one.name ?? one.subject }}</button>
        <span class="quiet">{{ say('since', { time: moment(one.since) }) }}</span>
        <span v-if="one.state === 'silenced'" class="quiet">{{ words.silenced }}</span>
        <span v-if="one.acknowledged_by" class="quiet">{{ say('seen_by', { who: one.acknowledged_by }) }}</span>
        <button v-for="action in actions(one)" type="button" class="link" @click="act(action, one)">
          {{ words[done[action + one.alert] ?? action] }}
        </button>
      </li>
    </NamedList>`,
  setup() {
    const done = reactive({});
    const title = (alert) => (known.language === "nl" ? alert.title_nl : alert.title);
    const show = (alert) => open(alert.subject.includes("/") ? "sensor" : "area", alert.subject, alert.quantity);
    const actions = (alert) =>
      !known.may_act
        ? []
        : [...(alert.acknowledged_by ? [] : ["acknowledge"]), ...(alert.state === "raised" ? ["silence"] : [])];
    async function act(action, alert) {
      const word = { acknowledge: "acknowledged", silence: "silenced" }[action];
      done[action + alert.alert] = (await ACTIONS[action](alert)) ? word : "action_failed";
    }
    return { act, actions, done, moment, say, show, title, words };
  },
};
