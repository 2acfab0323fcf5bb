// The statistics of an area in the vintages before its own, side by side; a boundary may have changed meanwhile.

import { computed, shallowRef, watch } from "vue";
import { number, say, words } from "./words.js";

const BEFORE = 2; // years that are looked for

async function fetchVintage(area, vintage) {
  try {
    const answer = await fetch(`api/v1/areas?${new URLSearchParams({ area, vintage })}`);
    const found = answer.ok ? (await answer.json()).items.find((one) => one.code === area) : null;
    return found?.statistics ? { vintage, statistics: found.statistics } : null;
  } catch {
    return null;
  }
}

export const Vintages = {
  props: ["day"],
  template: `
    <details v-if="earlier.length">
      <summary>{{ say('vintages_beside', { years: years.join(', ') }) }}</summary>
      <div class="scroll" tabindex="0" role="region" :aria-label="words.statistics">
        <table class="figures narrow">
          <caption class="only-read">{{ words.statistics }}</caption>
          <thead>
            <tr><th scope="col">{{ words.measure }}</th><th v-for="year in years" scope="col">{{ year }}</th></tr>
          </thead>
          <tbody>
            <tr v-for="[title, ...values] in rows">
              <th scope="row">{{ title }}</th><td v-for="value in values">{{ value }}</td>
            </tr>
          </tbody>
        </table>
      </div>
      <p class="quiet small">{{ words.vintages_note }}</p>
    </details>`,
  setup(props) {
    const earlier = shallowRef([]);
    watch(
      () => props.day.id,
      async (id) => {
        const years = Array.from({ length: BEFORE }, (_, at) => props.day.vintage - at - 1);
        earlier.value = (await Promise.all(years.map((year) => fetchVintage(id, year)))).filter(Boolean);
      },
      { immediate: true },
    );
    const rows = computed(() =>
      props.day.statistics.map((one) => {
        const values = [one.value, ...earlier.value.map(({ statistics }) => statistics[one.measure])];
        return [say(`measure.${one.measure}`, {}, one.title), ...values.map((value) => number(value, 4))];
      }),
    );
    const years = computed(() => [props.day.vintage, ...earlier.value.map((one) => one.vintage)]);
    return { earlier, rows, say, words, years };
  },
};
