// Open alerts, what each compares, and what may be done about them; each opens the day that it is about.

import { computed, nextTick, reactive, ref } from "vue";
import { choose, open } from "./address.js";
import { NamedList } from "./lists.js";
import { Past } from "./past.js";
import { civilDate, kept, known, moment, number, onTheWall, say, share, words } from "./words.js";

const NAME = "stadspuls-name"; // where the browser keeps who acts
const SILENT = 2 * 3600 * 1000; // ms that the button silences an alert
/** A shape for each severity, told apart without colour. */
const SHAPES = {
  info: '<circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="2"/>',
  warning: '<path d="M8 1.5 15 14H1z" fill="none" stroke="currentColor" stroke-width="2"/>',
  critical: '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="currentColor"/>',
};

/** The title of an alert or a rule in the viewer's language. */
export const titleOf = (alert) => (known.language === "nl" ? alert.title_nl : alert.title);

/** A figure of an alert in its unit: shares in percents, counts by its window. */
export function figure(value, { unit, quantity, level }) {
  if (value == null) return words.none;
  const { aggregation, unit: own } = known.quantities[quantity] ?? {};
  const counted = aggregation === "sum" && unit === own && words[`per.${level}`];
  return unit === "share" ? share(value) : `${number(value)} ${counted || say(`unit.${unit}`, {}, unit)}`.trim();
}

/** What an alert compares, in a sentence. */
export const against = (value, alert) => say("compared", { value: figure(value, alert), threshold: figure(alert.threshold, alert) });

/** One alert: how severe, its title, value against threshold, coverage, and since when. */
export const AlertLine = {
  props: ["alert"],
  template: `
    <span class="alarm" :class="alert.severity">
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" v-html="SHAPES[alert.severity]"></svg>
      {{ words['severity.' + alert.severity] }}: {{ titleOf(alert) }}
    </span>
    <span class="against">{{ told }}</span>
    <span class="quiet">{{ say('since', { time: moment(alert.since) }) }}</span>
    <span v-if="alert.state === 'cannot_judge'" class="quiet">{{ words.alert_unjudged }}</span>`,
  setup(props) {
    const told = computed(() => {
      const { value, coverage } = props.alert;
      const covered = coverage == null ? [] : [say("with_coverage", { coverage: share(coverage) })];
      return [against(value, props.alert), ...covered].join("; ");
    });
    return { SHAPES, moment, say, titleOf, told, words };
  },
};

async function post(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    return (await fetch(`live/alerts/${path}`, options)).ok;
  } catch {
    return false;
  }
}

/** What may be done about an alert, by somebody with a name. */
const ACTIONS = {
  acknowledge: (alert, by) => post(`${alert.alert}/ack`, { by }),
  silence: ({ rule, subject }, by) =>
    post("silences", {
      rule: literally(rule),
      subject: literally(subject),
      to: new Date(Date.now() + SILENT).toISOString(),
      by,
      reason: words.live_page,
    }),
};

/** A pattern that matches this text alone. */
const literally = (text) => text.replace(/[*?[]/g, "[$&]");

/** Open what an alert is about, in its window, on the day on which it began. */
function show({ subject, quantity, level, since }) {
  const began = onTheWall(Date.parse(since) / 1000);
  const past = civilDate(began) !== civilDate("");
  open(subject.includes("/") ? "sensor" : "area", subject, quantity);
  const lens = known.lenses[level] ? level : "1h";
  choose({ lens, at: past ? began : "" }, false);
}

/** Asks who acts; the browser remembers the name. */
const AskName = {
  props: ["asked"],
  emits: ["named"],
  template: `
    <form v-if="asked" class="ask-name" @submit.prevent="take">
      <label>{{ words.your_name }}
        <input id="your-name" v-model.trim="name" required maxlength="80" autocomplete="name"></label>
      <button type="submit" class="tool">{{ words[asked] }}</button>
    </form>`,
  setup(_, { emit }) {
    const name = ref(kept[NAME] ?? "");
    function take() {
      kept[NAME] = name.value;
      emit("named", name.value);
    }
    return { name, take, words };
  },
};

export const AlertsPanel = {
  components: { AlertLine, AskName, NamedList, Past },
  template: `
    <NamedList name="alerts" none="alerts_none">
      <template #default="{ one }">
        <li class="wrapped">
          <AlertLine :alert="one"/>
          <button type="button" class="link" @click="show(one)">{{ one.name ?? one.subject }}</button>
          <span v-if="one.state === 'silenced'" class="quiet">{{ words.silenced }}</span>
          <span v-if="one.acknowledged_by" class="quiet">{{ say('seen_by', { who: one.acknowledged_by }) }}</span>
          <button v-for="action in actions(one)" type="button" class="link" @click="ask(action, one)">
            {{ words[done[action + one.alert] ?? action] }}
          </button>
          <AskName v-if="asking.alert === one.alert" :asked="asking.action" @named="(name) => act(name, one)"/>
        </li>
      </template>
      <template #after><Past :may-act="known.may_act"/></template>
    </NamedList>`,
  setup() {
    const done = reactive({});
    const actions = (alert) =>
      !known.may_act
        ? []
        : [...(alert.acknowledged_by ? [] : ["acknowledge"]), ...(alert.state === "raised" ? ["silence"] : [])];
    const asking = reactive({ alert: null, action: "" });
    async function ask(action, { alert }) {
      Object.assign(asking, { alert, action });
      await nextTick();
      document.getElementById("your-name")?.focus();
    }
    async function act(name, alert) {
      const { action } = asking;
      asking.alert = null;
      const word = { acknowledge: "acknowledged", silence: "silenced" }[action];
      done[action + alert.alert] = (await ACTIONS[action](alert, name)) ? word : "action_failed";
    }
    return { act, actions, ask, asking, done, known, say, show, words };
  },
};
