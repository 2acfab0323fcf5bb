// What is opened: a sensor's day beside its usual one with its quality flags, or an area beside its CBS statistics.

import { computed, nextTick, shallowRef, watch } from "vue";
import { choice, choose, close, open, opened, unknown } from "./address.js";
import { DayChart, KEYS, drawn, hasBand, labelsOf, placeOf } from "./chart.js";
import { PartsOf, compare, compared, isFull } from "./compare.js";
import { AlertLine } from "./alerts.js";
import { figures, get } from "./figures.js";
import { judged } from "./judged.js";
import { range, shownAt, shownDay, shownHours } from "./shown.js";
import { Take } from "./take.js";
import { Vintages } from "./vintages.js";
import { civilDate, known, moment, number, period, say, share, stampOf, statistic, titled, unit, weekday, words } from "./words.js";

const NAMED = 12; // sensors of an area
const HOUR = 3600; // s
const FOLLOW = 10_000; // ms between two readings of the day of what is open

/** What the chart of a range must know: a label for each hour, and when the first begins (s since 1970). */
function labelled({ at, hours }) {
  const first = Math.floor(stampOf(at) / HOUR) * HOUR;
  const labels = Array.from({ length: hours }, (_, past) => moment(new Date((first + past * HOUR) * 1000).toISOString()));
  return { first, labels };
}

/** The hours of a day: a chart with its legend, and a table. */
const Course = {
  components: { AlertLine, DayChart, Take },
  props: ["day"],
  template: `
    <h3>{{ title }}</h3>
    <p v-if="empty">{{ day.range ? words.empty_range : words.no_hours }}</p>
    <template v-else>
      <DayChart :day="day" :unit="unit" :names="names" :label="title + ': ' + table" :shown="shown"/>
      <ul class="keys">
        <li v-for="key in drawn(day)">
          <svg viewBox="0 0 18 14" aria-hidden="true" v-html="KEYS[key]"></svg><span>{{ names[key] }}</span>
        </li>
      </ul>
      <p v-if="peak" class="peak">{{ peak }}</p>
      <p class="quiet small">{{ note }}</p>
      <Take frame=".detail" :name="(day.name ?? day.id) + ' ' + title + ' ' + when" :asked="asked" :path="path"/>
    </template>
    <template v-if="day.alerts.length">
      <h3>{{ words.alerts_of_day }}</h3>
      <ul class="plain"><li v-for="one in day.alerts" class="wrapped"><AlertLine :alert="one"/></li></ul>
    </template>
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
    const at = shownAt();
    const names = Object.fromEntries(Object.keys(KEYS).map((key) => [key, say(key, { day: weekday(at) })]));
    if (at) Object.assign(names, { today: civilDate(at), yesterday: words.day_before });
    if (props.day.range) names.today = shownDay(at);
    const shown = computed(() => (choice.at && choice.lens === "1h" ? Number(choice.at.slice(11, 13)) : null));
    const table = say("hours_of", { day: shownDay(at) });
    const labelOf = (row) => labelsOf(props.day)[placeOf(props.day, row)];
    const hours = computed(() =>
      props.day.hours
        .filter(([ago]) => props.day.range || ago === 0)
        .map((row) => {
          const [, , state, value, coverage, flags, , seen, expected] = row;
          const why = judged({ kind: props.day.kind, state, coverage, flags, seen, expected, start: 0, end: HOUR });
          return [labelOf(row), number(value), share(coverage), why];
        }),
    );
    const note = computed(() => {
      if (props.day.range) return "";
      if (props.day.kind === "area") return words.area_band;
      return hasBand(props.day) ? words.band_of : words.no_band;
    });
    const peak = computed(() => {
      const valid = props.day.hours.filter(([ago, , state]) => (props.day.range || ago === 0) && state === "valid");
      const [top] = valid.toSorted(([, , , one], [, , , other]) => other - one);
      if (!top || known.quantities[choice.quantity].aggregation !== "sum") return "";
      return say("peak", { hour: labelOf(top), value: number(top[3]) });
    });
    const asked = computed(() => {
      const about = { ...shownHours(), quantity: choice.quantity };
      return props.day.kind === "area" ? { ...about, area: props.day.id } : { ...about, sensor: props.day.id };
    });
    return {
      KEYS,
      asked,
      path: props.day.kind === "area" ? "area-aggregates" : "aggregates",
      drawn,
      empty: computed(() => !props.day.hours.length && !hasBand(props.day)),
      hours,
      peak,
      names,
      note,
      shown,
      table,
      when: props.day.range ? shownDay(at) : civilDate(at), // of a file, which may be opened on any day
      words,
      title: computed(() => titled(choice.quantity, "1h")),
      unit: computed(() => unit(choice.quantity, "1h")),
    };
  },
};

const SensorDay = {
  components: { Course, PartsOf },
  props: ["day"],
  template: `
    <h2 tabindex="-1" id="detail-title">{{ day.name ?? day.id }}</h2>
    <p class="quiet">{{ about }}</p>
    <p v-if="day.area" class="small">
      {{ words.stands_in }}
      <button type="button" class="link" @click="open('area', day.area[0])">{{ day.area[1] }}</button> {{ people }}
    </p>
    <p v-if="others.length" class="quiet small others">
      {{ words.measures }}
      <button v-for="name in others" type="button" class="link" @click="choose({ quantity: name })">
        {{ words['quantity.' + name] }}
      </button>
    </p>
    <p>
      <button type="button" class="tool" :aria-pressed="String(compared.includes(day.id))" :disabled="isFull(day.id)"
              @click="compare(day.id)">{{ words.compare }}</button>
    </p>
    <Course :day="day"/>
    <PartsOf :id="day.id"/>
    <h3>{{ say('flags', { day: shownDay(shownAt()) }) }}</h3>
    <p v-if="!day.flags.length" class="quiet">{{ words.no_flags }}</p>
    <ul v-else class="plain flags">
      <li v-for="[hour, count, flags] in day.flags">{{ say('flag_line', { hour, count, flag: named(flags) }) }}</li>
    </ul>
    <p v-if="day.licence" class="quiet small">{{ words.licence }}: {{ say('licence.' + day.licence, {}, day.licence) }}</p>`,
  setup(props) {
    const about = computed(() => {
      const { id, source, indoor, parts, lanes } = props.day;
      const kind = id.startsWith("group/") ? words.group : words[`class.${props.day.class}`];
      const laid = parts && lanes && say(`parts.${parts}`, { count: lanes });
      return [id, source && say(`source.${source}`, {}, source), kind, indoor && words.indoor, laid].filter(Boolean).join(" · ");
    });
    const named = (flags) =>
      Object.entries(known.flags)
        .filter(([, bit]) => flags & bit)
        .map(([name]) => words[`flag.${name}`])
        .join(", ");
    const others = computed(() => props.day.quantities.filter((name) => name !== choice.quantity));
    const people = computed(() => {
      const [, , count] = props.day.area ?? [];
      return count == null ? "" : say("with_people", { count: number(count, 9) });
    });
    return { about, choose, compare, compared, isFull, named, open, others, people, say, shownAt, shownDay, words };
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
function told(one) {
  const title = say(`measure.${one.measure}`, {}, one.title);
  const value = one.value == null ? `${words.none} (${reason(one.reason)})` : statistic(one.value, one.unit);
  return [title, value, period(one.period)];
}

const AreaDay = {
  components: { Course, Vintages },
  props: ["day"],
  template: `
    <h2 tabindex="-1" id="detail-title">{{ day.name }}</h2>
    <p v-if="inhabitants"><strong>{{ inhabitants }}</strong></p>
    <p class="quiet">{{ day.id }} · {{ words['one.' + day.level] }} · {{ say('in_area', { count: day.sensors }) }}</p>
    <p v-if="members.length" class="small members">
      <button v-for="[id, name] in members" type="button" class="link" @click="open('sensor', id)">{{ name }}</button>
      <span v-if="day.members.length > members.length" class="quiet">
        {{ say('and_more', { count: day.members.length - members.length }) }}</span>
    </p>
    <Course :day="day"/>
    <h3>{{ words.statistics }}</h3>
    <p v-if="!day.statistics.length" class="quiet">{{ words.no_statistics }}</p>
    <p v-else class="quiet small">{{ say('statistics_of', { vintage: day.vintage }) }}</p>
    <Vintages :day="day"/>
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
      for (const one of props.day.statistics) (found[one.theme] ??= []).push(told(one));
      return found;
    });
    const people = props.day.statistics.find((one) => one.measure === "inhabitants" && one.value != null);
    const inhabitants = people && `${words["measure.inhabitants"]}: ${number(people.value, 9)} (${told(people)[2]})`;
    const members = props.day.members.slice(0, NAMED);
    return { inhabitants, members, open, say, themes, words };
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
    let nowhere = "";
    /** What is asked for: a day by its date, so that a step to another hour of it asks nothing. */
    function asked() {
      const { at, until } = range() ?? { at: shownAt().slice(0, 10), until: "" };
      return { quantity: choice.quantity, at, until, ...opened() };
    }
    const text = (parts) => Object.values(parts).join();
    async function look() {
      const wanted = asked();
      const { kind, ...parameters } = wanted;
      if (!kind) return (day.value = null);
      read = Date.now();
      const found = await get(kind, parameters);
      if (text(wanted) !== text(asked()) || figures.contact.lost) return;
      key.value = text(wanted);
      const hours = range();
      const about = { quantity: choice.quantity, unit: known.quantities[choice.quantity].unit };
      day.value = found && { ...found, about, ...(hours && { range: labelled(hours) }) };
      nowhere = found ? "" : parameters.id;
      if (!found) unknown(kind, parameters.id);
    }
    /** Whether to ask again: for what nobody knows only when the map has it. */
    const mayBeKnown = () => nowhere !== opened()?.id || figures.sensors.value.some((row) => row.id === nowhere);
    /** Go to what was opened by a click: to its name, and on a small screen to its place. */
    async function focus() {
      await nextTick();
      const title = document.getElementById("detail-title");
      title?.focus({ preventScroll: true });
      title?.closest("aside").scrollTo(0, 0); // which scrolls by itself, and begins with what was opened
      if (matchMedia("(max-width: 900px)").matches) title?.closest("section").scrollIntoView();
    }
    watch(
      () => [choice.sensor, choice.area].join(),
      async () => (await look(), day.value && focus()),
    );
    watch(() => text({ ...asked(), kind: "", id: "" }), look, { flush: "post" });
    watch([figures.health, figures.frame], () => {
      due ??= setTimeout(
        () => {
          due = null;
          if (mayBeKnown()) look();
        },
        Math.max(0, read + FOLLOW - Date.now()),
      );
    });
    look();
    return { close, day, key, words };
  },
};
