// What is opened: a sensor's day beside its usual one with its quality flags, or an area beside its CBS statistics.

import { computed, nextTick, shallowRef, watch } from "vue";
import { choice, close, opened, unknown } from "./address.js";
import { DayChart, KEYS, drawn, hasBand } from "./chart.js";
import { figures, get } from "./figures.js";
import { judged } from "./judged.js";
import { civilDate, known, number, say, share, titled, unit, weekday, words } from "./words.js";

const FOLLOW = 10_000; // ms between two readings of the day of what is open

/** The day that is shown, in a sentence. */
const shownDay = (at) => (at ? civilDate(at) : words.today.toLowerCase());

/** The hours of a day: a chart with its legend, and a table. */
const Course = {
  components: { DayChart },
  props: ["day"],
  template: `
    <h3>{{ title }}</h3>
    <DayChart :day="day" :unit="unit" :names="names" :label="title + ': ' + table"/>
    <ul class="keys">
      <li v-for="key in drawn(day)">
        <svg viewBox="0 0 18 14" aria-hidden="true" v-html="KEYS[key]"></svg><span>{{ names[key] }}</span>
      </li>
    </ul>
    <p class="quiet small">{{ note }}</p>
    <details>
      <summary>{{ table }}</summary>
      <table class="figures narrow">
        <caption class="only-read">{{ table }}</caption>
        <thead>
          <tr><th v-for="name in ['hour', 'value', 'coverage', 'state']" scope="col">{{ words[name] }}</th></tr>
        </thead>
        <tbody>
          <tr v-for="[hour, value, coverage, state] in hours">
            <th scope="row">{{ hour }}</th><td>{{ value }}</td><td>{{ coverage }}</td><td>{{ state }}</td>
          </tr>
        </tbody>
      </table>
    </details>`,
  setup(props) {
    const at = choice.at;
    const names = Object.fromEntries(Object.keys(KEYS).map((key) => [key, say(key, { day: weekday(at) })]));
    if (at) Object.assign(names, { today: civilDate(at), yesterday: words.day_before });
    const table = say("hours_of", { day: shownDay(at) });
    const hours = computed(() =>
      props.day.hours
        .filter(([ago]) => ago === 0)
        .map(([, hour, state, value, coverage, flags, , seen, expected]) => [
          `${String(hour).padStart(2, "0")}:00`,
          number(value),
          share(coverage),
          judged({ kind: props.day.kind, state, coverage, flags, seen, expected, start: 0, end: 3600 }),
        ]),
    );
    const note = computed(() => {
      if (props.day.kind === "area") return words.area_band;
      return say(hasBand(props.day) ? "band_of" : "no_band", { weeks: props.day.weeks });
    });
    return {
      KEYS,
      drawn,
      hours,
      names,
      note,
      table,
      words,
      title: computed(() => titled(choice.quantity, "1h")),
      unit: computed(() => unit(choice.quantity, "1h")),
    };
  },
};

const SensorDay = {
  components: { Course },
  props: ["day"],
  template: `
    <h2 tabindex="-1" id="detail-title">{{ day.name ?? day.id }}</h2>
    <p class="quiet">{{ about }}</p>
    <Course :day="day"/>
    <h3>{{ say('flags', { day: shownDay(choice.at) }) }}</h3>
    <p v-if="!day.flags.length" class="quiet">{{ words.no_flags }}</p>
    <ul v-else class="plain flags">
      <li v-for="[hour, count, flags] in day.flags">{{ say('flag_line', { hour, count, flag: named(flags) }) }}</li>
    </ul>
    <p v-if="day.licence" class="quiet small">{{ words.licence }}: {{ day.licence }}</p>`,
  setup(props) {
    const about = computed(() => {
      const { id, source, parts, lanes } = props.day;
      const kind = words[`class.${props.day.class}`];
      return [id, source, kind, parts && lanes && say(`parts.${parts}`, { count: lanes })].filter(Boolean).join(" · ");
    });
    const named = (flags) =>
      Object.entries(known.flags)
        .filter(([, bit]) => flags & bit)
        .map(([name]) => words[`flag.${name}`])
        .join(", ");
    return { about, choice, named, say, shownDay, words };
  },
};

/** Why there is no figure, in the viewer's words where the catalogue has them. */
function reason(text) {
  if (!text) return words.withheld;
  const below = /^withheld: fewer than (\d+) (\w+)$/.exec(text);
  if (!below) return say(`reason.${text}`, {}, text);
  const measure = say(`measure.${below[2]}`, {}, below[2]).toLowerCase();
  return say("withheld_below", { least: number(Number(below[1]), 9), measure });
}

/** A statistic as what it is, its value or the reason why there is none, and its period. */
function statistic(one) {
  const title = say(`measure.${one.measure}`, {}, one.title);
  const value =
    one.value == null
      ? `${words.none} (${reason(one.reason)})`
      : `${number(one.value, 4)} ${say(`unit.${one.unit}`, {}, one.unit ?? "")}`.trim();
  const period = (one.period ?? "").replace("1 January", words.first_of_january).replace("year", words.in_year);
  return [title, value, period];
}

const AreaDay = {
  components: { Course },
  props: ["day"],
  template: `
    <h2 tabindex="-1" id="detail-title">{{ day.name }}</h2>
    <p class="quiet">{{ day.id }} · {{ words['one.' + day.level] }} · {{ say('in_area', { count: day.sensors }) }}</p>
    <Course v-if="day.hours.length" :day="day"/>
    <p v-else>{{ words.no_hours }}</p>
    <h3>{{ words.statistics }}</h3>
    <p v-if="!day.statistics.length" class="quiet">{{ words.no_statistics }}</p>
    <p v-else class="quiet small">{{ say('statistics_of', { vintage: day.vintage }) }}</p>
    <template v-for="(rows, theme) in themes">
      <h4>{{ say('theme.' + theme, {}, theme) }}</h4>
      <table class="figures narrow bare">
        <caption class="only-read">{{ say('theme.' + theme, {}, theme) }}</caption>
        <thead>
          <tr><th v-for="name in ['measure', 'value', 'period']" scope="col">{{ words[name] }}</th></tr>
        </thead>
        <tbody>
          <tr v-for="[title, value, period] in rows">
            <th scope="row">{{ title }}</th><td>{{ value }}</td><td>{{ period }}</td>
          </tr>
        </tbody>
      </table>
    </template>`,
  setup(props) {
    const themes = computed(() => {
      const found = {};
      for (const one of props.day.statistics) (found[one.theme] ??= []).push(statistic(one));
      return found;
    });
    return { say, themes, words };
  },
};

export const Detail = {
  components: { AreaDay, SensorDay },
  template: `
    <p v-if="!day" class="quiet hint">{{ words.choose }}</p>
    <section v-show="day" class="card detail">
      <button type="button" class="close" :aria-label="words.close" @click="close">
        <span aria-hidden="true">×</span>
      </button>
      <SensorDay v-if="day?.kind === 'sensor'" :key="key" :day="day"/>
      <AreaDay v-else-if="day" :key="key" :day="day"/>
    </section>`,
  setup() {
    const day = shallowRef(null);
    const key = shallowRef("");
    let read = 0;
    let due = null;
    async function look() {
      const asked = opened();
      const { quantity, at } = choice;
      if (!asked) return (day.value = null);
      const found = await get(asked.kind, { id: asked.id, quantity, at });
      const is = [opened()?.id, choice.quantity, choice.at].join();
      if (is !== [asked.id, quantity, at].join() || figures.contact.lost) return;
      read = Date.now();
      key.value = is;
      day.value = found;
      if (!found) unknown(asked.kind, asked.id);
    }
    /** Go to what was opened by a click: to its name, and on a small screen to its place. */
    async function focus() {
      await nextTick();
      const title = document.getElementById("detail-title");
      title?.focus({ preventScroll: true });
      if (matchMedia("(max-width: 900px)").matches) title?.closest("section").scrollIntoView();
    }
    watch(
      () => [choice.sensor, choice.area].join(),
      async () => (await look(), day.value && focus()),
    );
    watch(() => [choice.quantity, choice.at], look, { flush: "post" });
    watch([figures.health, figures.frame], () => {
      due ??= setTimeout(
        () => {
          due = null;
          look();
        },
        Math.max(0, read + FOLLOW - Date.now()),
      );
    });
    look();
    return { close, day, key, words };
  },
};
