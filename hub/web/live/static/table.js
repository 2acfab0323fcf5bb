// The same figures as a table.

import { computed, reactive } from "vue";
import { choice, choose, open } from "./address.js";
import { figures, isOther } from "./figures.js";
import { judged, toneOf } from "./judged.js";
import { besideUsual, usualText } from "./usual.js";
import { number, say, share, span, words } from "./words.js";

const FIRST_ROWS = 150;
const KEYS = { value: "value", time: "start", coverage: "coverage", state: "state" };

const collator = new Intl.Collator(words.locale, { numeric: true });

/** Compare by a key; missing values come last in either direction. */
function inOrder(key, down) {
  const sign = down ? -1 : 1;
  return (one, other) => {
    if ((one[key] == null) !== (other[key] == null)) return one[key] == null ? 1 : -1;
    if (typeof one[key] !== "string") return sign * (one[key] - other[key]);
    return sign * collator.compare(one[key], other[key]);
  };
}

export const FigureTable = {
  props: ["title"],
  template: `
    <div class="table-frame">
      <div class="tools">
        <label class="find">
          <span class="only-read">{{ words.search }}</span>
          <input type="search" v-model="table.search" :placeholder="words.search" id="search">
        </label>
        <div class="tabs" role="group" v-if="figures.areas.value.length">
          <button type="button" :aria-pressed="String(!ofAreas)" @click="choose({ rows: 'sensors' })">{{ words.sensors }}</button>
          <button type="button" :aria-pressed="String(ofAreas)" @click="choose({ rows: 'areas' })">{{ words.areas }}</button>
        </div>
      </div>
      <div class="scroll" tabindex="0" role="region" :aria-label="title">
        <table class="figures" id="table">
          <caption class="only-read">{{ title }}</caption>
          <thead>
            <tr>
              <th v-for="column in columns" scope="col" :aria-sort="sorting(column)">
                <button type="button" class="head" @click="order(column)">
                  {{ words[column] }}<span aria-hidden="true">{{ arrow(column) }}</span>
                </button>
              </th>
            </tr>
          </thead>
          <tbody>
            <tr v-for="row in listed" :key="row.id" :class="{ chosen: row.id === choice[row.kind] }">
              <th scope="row">
                <button type="button" class="link" @click="open(row.kind, row.id)">{{ row.name }}</button>
                <span v-if="row.name !== row.id" class="quiet id">{{ row.id }}</span>
              </th>
              <td class="value" :class="[row.state, { none: row.value == null }]">
                <i v-if="toneOf(row)" :class="'swatch ' + toneOf(row)"></i>{{ number(row.value) }}
              </td>
              <td :class="{ other: isOther(row) }">{{ span(row) }}</td>
              <td>{{ share(row.coverage) }}</td>
              <td>{{ stateOf(row) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
      <button v-if="sorted.length > listed.length" type="button" class="more" @click="table.all = true">{{ more }}</button>
    </div>`,
  setup() {
    const table = reactive({ search: "", all: false });
    const ofAreas = computed(() => choice.rows === "areas" && figures.areas.value.length > 0);
    const columns = computed(() => [ofAreas.value ? "area" : "sensor", "value", "time", "coverage", "state"]);
    const sorted = computed(() => {
      if (choice.show !== "table") return []; // a country is sorted for those alone who see it
      const wanted = table.search.toLowerCase();
      const rows = ofAreas.value ? figures.areas.value : figures.sensors.value;
      return rows
        .filter((row) => `${row.name} ${row.id}`.toLowerCase().includes(wanted))
        .sort(inOrder(sortedBy(), isDown()));
    });
    const listed = computed(() => (table.all ? sorted.value : sorted.value.slice(0, FIRST_ROWS)));
    const more = computed(() => say("more", { count: sorted.value.length }));
    function stateOf(row) {
      const beside = choice.colour === "usual" && besideUsual(row);
      return [judged(row), isOther(row) && words["state.other"], beside && usualText(beside)].filter(Boolean).join(", ");
    }
    const key = (column) => KEYS[column] ?? "name";
    const isDown = () => choice.sort.startsWith("-");
    const sortedBy = () => choice.sort.replace("-", "");
    const isSorted = (column) => sortedBy() === key(column);
    const order = (column) => choose({ sort: isSorted(column) && !isDown() ? `-${key(column)}` : key(column) });
    const arrow = (column) => (isSorted(column) ? (isDown() ? " ▾" : " ▴") : "");
    const sorting = (column) => (isSorted(column) ? (isDown() ? "descending" : "ascending") : "none");
    return {
      arrow,
      choice,
      choose,
      columns,
      figures,
      isOther,
      listed,
      more,
      number,
      ofAreas,
      open,
      order,
      share,
      sorted,
      sorting,
      span,
      stateOf,
      table,
      toneOf,
      words,
    };
  },
};
