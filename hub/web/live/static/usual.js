// How usual the shown hour is: fetched for the list, the map and the table, and the list of what is most unusual.

import { computed, shallowRef, watch } from "vue";
import { choice, choose, fits, open } from "./address.js";
import { arrived, figures, get } from "./figures.js";
import { known, number, say, share, span, unit, words } from "./words.js";

const AGAIN = 60_000; // ms between two looks at the newest hour
const NAMED = 8; // sensors that are named, of each reason

/** The hour that is shown beside what is usual for it; null where nothing is known of it. */
export const usual = shallowRef(null);

/** Which class a deviation is in, from 0 (far less than usual) to 4 (far more). */
export const usualClass = (deviation) => known.usual_edges.filter((edge) => deviation >= edge).length;

/** The words of a class: quieter or busier of counts, slower or faster of speeds, else lower or higher. */
export function usualWord(step) {
  const { aggregation, unit } = known.quantities[choice.quantity];
  const kind = aggregation === "sum" ? "count" : unit === "km/h" ? "speed" : "level";
  return words[`usual_${kind}.${step}`];
}

/** A row of the map or table beside what is usual for it; nothing where it is of another hour. */
export function besideUsual(row) {
  const found = usual.value?.byId.get(row.id);
  return found && row.start === usual.value.at ? found : null;
}

/** What is usual beside a value, in words. */
export function usualText({ usual, deviation, reason }) {
  if (deviation == null) return `${words.unjudged}: ${words[`reason.${reason}`] ?? reason}`;
  return `${usualWord(usualClass(deviation))} (${number(usual)})`;
}

let read = 0;
let asked = 0;

async function look() {
  const mine = ++asked;
  read = Date.now();
  if (!fits("1h")) return (usual.value = null);
  const of = choice.lens === "1h" || choice.lens === "5m" ? choice.at : "";
  const most = choice.colour === "usual" ? "" : NAMED;
  await arrived(); // the figures first
  const found = mine === asked && (await get("usual", { quantity: choice.quantity, at: of, most }));
  if (mine !== asked) return;
  const rows = (found?.rows ?? []).map(([id, name, value, usual, deviation, coverage, reason]) => {
    return { id, name: name ?? id, value, usual, deviation, coverage, reason };
  });
  usual.value = found && { ...found, rows, byId: new Map(rows.map((row) => [row.id, row])) };
}

/** Follow what is chosen, and the newest hour. */
export function followUsual() {
  watch(() => [choice.quantity, choice.lens, choice.at, choice.colour], look, { immediate: true });
  watch(figures.frame, () => !choice.at && Date.now() - read > AGAIN && look());
}

export const UnusualPanel = {
  template: `
    <section v-if="usual?.rows.length" class="card" id="unusual">
      <h2>{{ words.unusual }} <span class="quiet">{{ span({ start: usual.at, end: usual.at + 3600 }) }}</span></h2>
      <p class="quiet small">{{ about }}</p>
      <ol class="plain ranked">
        <li v-if="!first.length">{{ usual.judged ? say('unusual_none', { count: usual.judged }) : words.unusual_unknown }}</li>
        <li v-for="row in first" class="wrapped">
          <button type="button" class="link" @click="open('sensor', row.id)">{{ row.name }}</button>
          <span><i :class="'swatch d' + usualClass(row.deviation)"></i> {{ usualWord(usualClass(row.deviation)) }}</span>
          <span class="quiet small">{{ figuresOf(row) }}</span>
        </li>
      </ol>
      <details v-if="unjudged">
        <summary>{{ say('unjudged_count', { count: unjudged }) }}</summary>
        <ul class="plain small">
          <li v-for="(count, reason) in usual.reasons" class="wrapped">
            <span>{{ words['reason.' + reason] }}: {{ number(count, 9) }}</span>
            <span class="quiet">{{ names(reason) }}</span>
          </li>
        </ul>
      </details>
      <p v-if="choice.colour !== 'usual'">
        <button type="button" class="link" @click="choose({ colour: 'usual', show: 'map' })">{{ words.colour_by_usual }}</button>
      </p>
    </section>`,
  setup() {
    const first = computed(() =>
      usual.value.rows.filter((row) => row.deviation != null && usualClass(row.deviation) !== 2).slice(0, NAMED),
    );
    const unjudged = computed(() => Object.values(usual.value.reasons).reduce((sum, one) => sum + one, 0));
    const about = computed(() => say("unusual_about", { quantity: words[`quantity.${choice.quantity}`] }));
    function figuresOf({ value, usual, coverage }) {
      const own = `${number(value)} ${unit(choice.quantity, "1h")}`.trim();
      return say("unusual_line", { value: own, usual: number(usual), coverage: share(coverage) });
    }
    function names(reason) {
      const some = usual.value.rows.filter((row) => row.reason === reason).slice(0, NAMED);
      const more = usual.value.reasons[reason] - some.length;
      return [...some.map((row) => row.name), ...(more > 0 ? [say("and_more", { count: more })] : [])].join(", ");
    }
    return {
      about,
      choice,
      choose,
      figuresOf,
      first,
      names,
      number,
      open,
      say,
      span,
      unjudged,
      usual,
      usualClass,
      usualWord,
      words,
    };
  },
};
