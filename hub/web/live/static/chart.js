// A day by hour, beside what is usual for each hour, or beside yesterday; or a range by hour.
// Colours are the page's CSS variables: light and dark follow by themselves where SVG is drawn.

import { h, onBeforeUnmount, onMounted, ref, watch } from "vue";
import { enlarged, number, words } from "./words.js";

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const NAMED = HOURS.map((hour) => `${String(hour).padStart(2, "0")}:00`);
/** How the values that are not like others are marked. */
export const MARKS = {
  invalid: { name: "invalid_hour", symbol: "emptyCircle", colour: "--warn" },
  running: { name: "running_hour", symbol: "emptyDiamond", colour: "--accent" },
  flagged: { name: "flagged_hour", symbol: "triangle", colour: "--warn", offset: -12 },
};

/** Whether there is a band to draw, which takes two hours in a row. */
export const hasBand = ({ usual = {} }) => Object.keys(usual).some((hour) => usual[Number(hour) + 1]);

/** The labels of the places in the chart: one for each hour of the clock, or for each hour that a range has. */
export const labelsOf = ({ range }) => range?.labels ?? NAMED;

/** The place of an hour among them; of a range by the time that has passed, for a clock may change in it. */
export const placeOf = ({ range }, row) => (range ? (row[9] - range.first) / 3600 : row[1]);

/** The hours of the day so many days ago, or of a range, each value in the one line of its state; flags mark them. */
export function lines(day, ago = 0) {
  const names = ["valid", ...Object.keys(MARKS)];
  const found = Object.fromEntries(names.map((name) => [name, Array(labelsOf(day).length).fill(null)]));
  for (const row of day.hours) {
    const [past, , state, value, , flagged, failed] = row;
    if ((day.range ? 0 : past) !== ago || value == null) continue;
    const at = placeOf(day, row);
    found[state][at] = value;
    if (flagged || failed) found.flagged[at] = value;
  }
  return found;
}

/** The thresholds of a day's alerts that are values of what its hours measure. */
export function thresholds(day) {
  const { quantity, unit } = day.about ?? {};
  const found = (day.alerts ?? []).filter((one) => one.quantity === quantity && one.unit === unit && one.level === "1h");
  return [...new Set(found.map((one) => one.threshold))];
}

/** The names of what is drawn, for the legend. */
export function drawn(day) {
  const today = lines(day);
  const marks = Object.keys(MARKS).filter((name) => today[name].some((value) => value != null));
  const beside = day.range ? [] : hasBand(day) ? ["usual", "median"] : ["yesterday"];
  const limits = thresholds(day).length ? ["threshold"] : [];
  return [...beside, "today", ...limits, ...marks.map((name) => MARKS[name].name)];
}

const coloured = (name) => ({ color: `var(${name})` });

function line(name, data, colour, width, symbol = "none") {
  const lineStyle = { ...coloured(colour), width };
  const look = { symbol, symbolSize: 6, z: 4, emphasis: { disabled: true }, itemStyle: coloured(colour), lineStyle };
  return { type: "line", name, data, ...look };
}

function marks({ name, symbol, colour, offset = 0 }, data, names) {
  const itemStyle = { ...coloured(colour), borderColor: `var(${colour})`, borderWidth: 2 };
  const look = { symbol, symbolSize: 9, symbolOffset: [0, offset], z: 5, emphasis: { disabled: true }, itemStyle };
  return { type: "scatter", name: names[name], data, ...look };
}

/**
 * Two lines stacked upon each other: an unseen one, and the distance to the upper edge as a filled area. By default
 * ECharts stacks only values of one sign, which would draw the band of a frosty day above zero.
 */
function band(usual, names) {
  const part = (at) => HOURS.map((hour) => usual[hour]?.[at] ?? null);
  const width = HOURS.map((hour) => (usual[hour] ? usual[hour][2] - usual[hour][0] : null));
  const stacked = { stack: "usual", stackStrategy: "all", tooltip: { show: false } };
  const hidden = { type: "line", symbol: "none", silent: true, lineStyle: { opacity: 0 }, ...stacked };
  const fill = { areaStyle: { ...coloured("--band"), opacity: 1 }, itemStyle: coloured("--band") };
  return [
    { ...hidden, name: "", data: part(0) },
    { ...hidden, ...fill, name: names.usual, data: width },
    { ...line(names.median, part(1), "--quiet", 1.5), z: 3 },
  ];
}

function besides(day, names) {
  if (day.range) return [];
  return hasBand(day) ? band(day.usual, names) : [line(names.yesterday, lines(day, 1).valid, "--quiet", 1.5)];
}

/** A line at the hour that the map shows, if it is one, and one at each threshold. */
function markLine(shown, limits) {
  const hour = shown == null ? [] : [{ xAxis: shown, label: { show: false }, lineStyle: coloured("--ink-soft") }];
  const label = { formatter: ({ value }) => number(value), ...coloured("--warn") };
  const lineStyle = { ...coloured("--warn"), type: "dashed", width: 2 };
  const beside = (limit) => (limit < Math.max(...limits) ? "insideEndBottom" : "insideEndTop"); // apart from each other
  const data = [...hour, ...limits.map((yAxis) => ({ yAxis, label: { ...label, position: beside(yAxis) }, lineStyle }))];
  return data.length ? { markLine: { silent: true, symbol: "none", data } } : {};
}

/** What charts of hours share: labels, unit, how they are written, and what a pointer says; `label` is of the labels. */
export function overHours(labels, unit, label, max = null) {
  const text = { ...coloured("--ink-soft"), fontFamily: "sans-serif", fontSize: 12 * enlarged() };
  const rule = { lineStyle: coloured("--line") };
  return {
    animation: false,
    grid: { left: 8, right: 24, top: 28, bottom: 6, containLabel: true },
    tooltip: {
      trigger: "axis",
      confine: true,
      valueFormatter: (value) => number(value),
      backgroundColor: "var(--panel)",
      borderColor: "var(--line)",
      textStyle: coloured("--ink"),
    },
    xAxis: {
      type: "category",
      data: labels,
      boundaryGap: false,
      axisLabel: { ...text, ...label },
      axisLine: rule,
      axisTick: { show: false },
    },
    yAxis: {
      type: "value",
      name: unit,
      nameTextStyle: { ...text, align: "left" },
      nameGap: 10,
      max,
      axisLabel: { ...text, formatter: (value) => number(value) },
      splitLine: rule,
    },
  };
}

/** The options of ECharts; `names` has the name of each thing that is drawn, `shown` is the hour that the map shows. */
export function options(day, unit, names, shown = null) {
  const today = lines(day);
  const limits = thresholds(day);
  /** The upper end of the axis: a round number above all thresholds, where the values do not reach them. */
  function reach({ max }) {
    const top = Math.max(...limits);
    const step = 10 ** Math.floor(Math.log10(top)) / 2;
    return max < top && top > 0 ? Math.ceil(top / step) * step : null;
  }
  const labels = labelsOf(day);
  const interval = day.range ? Math.ceil(labels.length / 3) - 1 : 5;
  return {
    ...overHours(labels, unit, { interval }, limits.length ? reach : null),
    series: [
      ...besides(day, names),
      { ...line(names.today, today.valid, "--accent", 2.5, labels.length > 48 ? "none" : "circle"), ...markLine(shown, limits) },
      ...Object.entries(MARKS).map(([name, mark]) => marks(mark, today[name], names)),
    ],
  };
}

/** Draw a chart of `options()`, anew when `changing()` gives something else; the first one fetches the library. */
export function drawing(props, options, changing, clicked = () => {}) {
  const frame = ref(null);
  let chart = null;
  const draw = () => chart?.setOption(options(), { notMerge: true });
  const resized = new ResizeObserver(() => chart?.resize());
  onMounted(async () => {
    const { echarts } = await import("echarts");
    if (!frame.value) return;
    chart = echarts.init(frame.value, null, { renderer: "svg" });
    chart.on("click", clicked);
    resized.observe(frame.value);
    draw();
  });
  onBeforeUnmount(() => {
    resized.disconnect();
    chart?.dispose();
  });
  watch(changing, draw);
  return () => h("div", { ref: frame, class: "chart", role: "img", "aria-label": props.label });
}

/** The chart of a day. */
export const DayChart = {
  props: ["day", "unit", "names", "label", "shown"],
  setup: (props) =>
    drawing(
      props,
      () => options(props.day, props.unit, props.names, props.shown),
      () => [props.day, props.shown],
    ),
};

/** How each thing in the chart looks, for its legend. */
export const KEYS = {
  usual: '<path d="M1 4h16v6H1z" fill="var(--band)"/>',
  median: '<path d="M1 7h16" stroke="var(--quiet)" stroke-width="1.5"/>',
  yesterday: '<path d="M1 7h16" stroke="var(--quiet)" stroke-width="1.5"/>',
  today:
    '<path d="M1 7h16" stroke="var(--accent)" stroke-width="2.5"/><circle cx="9" cy="7" r="3" fill="var(--accent)"/>',
  threshold: '<path d="M1 7h16" stroke="var(--warn)" stroke-width="2" stroke-dasharray="4 3"/>',
  invalid_hour: '<circle cx="9" cy="7" r="4" fill="none" stroke="var(--warn)" stroke-width="2"/>',
  running_hour: '<path d="M9 2l5 5-5 5-5-5z" fill="none" stroke="var(--accent)" stroke-width="2"/>',
  flagged_hour: '<path d="M9 2l5 9H4z" fill="var(--warn)"/>',
};
