// The statistics of an area in all vintages that have it, side by side; its boundary may have changed meanwhile.

import { computed } from "vue";
import { period, say, statistic, words } from "./words.js";

export const Vintages = {
  props: ["day"],
  template: `
    <details v-if="years.length > 1" id="vintages">
      <summary>{{ say('vintages_beside', { years: years.join(', ') }) }}</summary>
      <div class="scroll" tabindex="0" role="region" :aria-label="words.statistics">
        <table class="figures narrow even">
          <caption class="only-read">{{ words.statistics }}</caption>
          <thead>
            <tr><th scope="col">{{ words.measure }}</th><th v-for="year in years" scope="col">{{ year }}</th></tr>
          </thead>
          <tbody>
            <tr v-for="[measure, title, values] in day.vintages">
              <th scope="row">{{ say('measure.' + measure, {}, title) }}</th>
              <td v-for="year in years" :title="period(values[year]?.[2])">{{ said(values[year]) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
      <p class="quiet small">{{ words.vintages_note }}</p>
    </details>`,
  setup(props) {
    const years = computed(() => [...new Set(props.day.vintages.flatMap(([, , values]) => Object.keys(values)))].toSorted());
    const said = (one) => (one ? statistic(one[0], one[1]) : "–");
    return { period, said, say, words, years };
  },
};
