// The areas as dots: their figures against a measure of CBS.

import { computed } from "vue";
import { choice, open } from "./address.js";
import { drawing } from "./chart.js";
import { figures } from "./figures.js";
import { shownWindow } from "./shown.js";
import { Take } from "./take.js";
import { enlarged, measured, number, say, share, titled, words } from "./words.js";

const PALEST = 0.25; // opacity of what has hardly any coverage

/** Areas that have both figures. */
const dots = computed(() => {
  const values = figures.statistic.value?.values ?? {};
  return figures.areas.value
    .filter(({ id, value }) => value != null && values[id] != null)
    .map(({ id, name, value, coverage }) => ({
      id,
      name,
      coverage,
      value: [values[id], value],
      itemStyle: { opacity: PALEST + (1 - PALEST) * (coverage ?? 0) },
    }));
});

function axis(name, more, align) {
  const text = { color: "var(--ink-soft)", fontFamily: "sans-serif", fontSize: 12 * enlarged() };
  const label = { ...text, formatter: (value) => number(value), hideOverlap: true };
  const rule = { lineStyle: { color: "var(--line)" } };
  return { type: "value", scale: true, name, nameTextStyle: { ...text, align }, axisLabel: label, splitLine: rule, ...more };
}

function options(measure) {
  const text = ({ data: { name, value, coverage } }) =>
    `${name}\n${measure}: ${number(value[0], 6)}\n${number(value[1])} · ${words.coverage.toLowerCase()} ${share(coverage)}`;
  return {
    animation: false,
    grid: { left: 8, right: 28, top: 34, bottom: 28 * enlarged(), containLabel: true },
    tooltip: { formatter: text, renderMode: "richText" },
    xAxis: axis(measure, { nameLocation: "middle", nameGap: 28 * enlarged(), splitNumber: 4 }),
    yAxis: axis(titled(choice.quantity, choice.lens), {}, "left"),
    series: [{ type: "scatter", symbolSize: 11 * enlarged(), itemStyle: { color: "var(--accent)" }, data: dots.value }],
  };
}

const Dots = {
  props: ["measure", "label"],
  setup: (props) =>
    drawing(
      props,
      () => options(props.measure),
      () => [dots.value, props.measure],
      ({ data }) => open("area", data.id),
    ),
};

export const Scatter = {
  components: { Dots, Take },
  template: `
    <section v-if="measure" class="card" id="scatter">
      <h2>{{ title }}</h2>
      <Dots v-if="count" :measure="measure" :label="title + ': ' + note"/>
      <p class="quiet small">{{ note }}</p>
      <Take v-if="count" frame="#scatter" :name="title" :asked="asked" path="area-aggregates"/>
    </section>`,
  setup() {
    const measure = computed(() => figures.statistic.value && measured(figures.statistic.value.measure));
    const title = computed(() => say("against", { figure: words[`quantity.${choice.quantity}`], measure: measure.value }));
    const count = computed(() => dots.value.length);
    const note = computed(() => say("scatter_note", { count: count.value }));
    const asked = computed(() => ({ ...shownWindow(), quantity: choice.quantity, level: choice.level, measure: choice.measure }));
    return { asked, count, measure, note, title };
  },
};
