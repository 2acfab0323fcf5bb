// Hours out of the API, and lines of them: of several sensors, or of the channels of one.

import { KEYS, MARKS, drawing, overHours } from "./chart.js";
import { moment, number, onTheWall, say, understood, words } from "./words.js";

/** A colour, a symbol and a dash for each line, so that they are told apart without colour. */
export const LOOKS = [
  { symbol: "circle", dash: "solid" },
  { symbol: "rect", dash: [8, 4] },
  { symbol: "triangle", dash: [2, 3] },
  { symbol: "diamond", dash: [12, 3, 2, 3] },
  { symbol: "emptyCircle", dash: [5, 2] },
  { symbol: "emptyRect", dash: "solid" },
].map((look, at) => ({ ...look, colour: `--line${at}` }));

const SHAPES = {
  circle: '<circle cx="13" cy="7" r="4" fill="C"/>',
  rect: '<path d="M9 3h8v8H9z" fill="C"/>',
  triangle: '<path d="M13 2l5 9H8z" fill="C"/>',
  diamond: '<path d="M13 2l5 5-5 5-5-5z" fill="C"/>',
  emptyCircle: '<circle cx="13" cy="7" r="4" fill="var(--panel)" stroke="C" stroke-width="2"/>',
  emptyRect: '<path d="M9 3h8v8H9z" fill="var(--panel)" stroke="C" stroke-width="2"/>',
};

/** The key of a line in a legend. */
export function keyOf(at) {
  const { colour, symbol, dash } = LOOKS[at];
  const dashes = Array.isArray(dash) ? ` stroke-dasharray="${dash.join(" ")}"` : "";
  return `<path d="M0 7h26" stroke="var(${colour})" stroke-width="2.5"${dashes}/>${SHAPES[symbol].replaceAll("C", `var(${colour})`)}`;
}

/** What the hub says at a path, also where it says that something is wrong; null where it does not answer. */
export async function fetchJson(path) {
  try {
    return understood(await (await fetch(path)).text());
  } catch {
    return null;
  }
}

/** Ask the API for the items of a list; null where it has none to give. A parameter with a list is repeated. */
export const fetchItems = async (path, asked) => (await fetchJson(`api/v1/${path}?${query(asked)}`))?.items ?? null;

export function query(asked) {
  const pairs = Object.entries(asked).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  return new URLSearchParams(pairs.filter(([, value]) => value != null && value !== ""));
}

/** The starts of windows, and of each key its windows by their start. */
export function byStart(rows, keyed) {
  const starts = [...new Set(rows.map((row) => row.start))].toSorted();
  const found = new Map();
  for (const row of rows) {
    if (!found.has(keyed(row))) found.set(keyed(row), new Map());
    found.get(keyed(row)).set(row.start, row);
  }
  return { starts, found };
}

/** The name of a channel: a lane or direction, a class of vehicle, or both. */
export function channelName(channel) {
  return channel
    .split("/")
    .filter((part) => part && part !== "any")
    .map((part) => {
      const lane = /^lane(\d+)$/.exec(part);
      return lane ? say("channel.lane", { count: lane[1] }) : say(`channel.${part}`, {}, part);
    })
    .join(", ") || words.channel_all;
}

const clockOf = (start, long) => (long ? moment(start) : onTheWall(Date.parse(start) / 1000).slice(11, 16));

/** How a value that is not valid is marked, as in the chart of a day; nothing of one that is. */
function markOf(row) {
  if (row?.value == null || row.valid) return null;
  return Date.parse(row.end) > Date.now() ? "running" : "invalid";
}

function point(row) {
  const mark = MARKS[markOf(row)];
  if (!mark) return row?.value ?? null;
  return { value: row.value, symbol: mark.symbol, symbolSize: 10, itemStyle: { color: `var(${mark.colour})`, borderWidth: 2 } };
}

function options({ lines, starts, unit }) {
  const labels = starts.map((start) => clockOf(start, starts.length > 25));
  return {
    ...overHours(labels, unit, { hideOverlap: true }),
    series: lines.map(({ name, rows }, at) => {
      const { colour, symbol, dash } = LOOKS[at];
      const itemStyle = { color: `var(${colour})` };
      const data = starts.map((start) => point(rows.get(start)));
      const lineStyle = { ...itemStyle, width: 2.5, type: dash };
      return { type: "line", name, data, symbol, symbolSize: 7, showSymbol: starts.length < 50, itemStyle, lineStyle };
    }),
  };
}

/** Lines `{ name, rows by start }` over the same starts. */
export const LinesChart = {
  props: ["lines", "starts", "unit", "label"],
  setup: (props) =>
    drawing(
      props,
      () => options(props),
      () => [props.lines, props.starts],
    ),
};

/** The chart of lines with its legend, and the same as a table. */
export const LinesWithTable = {
  components: { LinesChart },
  props: ["lines", "starts", "unit", "label"],
  template: `
    <LinesChart :lines="lines" :starts="starts" :unit="unit" :label="label"/>
    <ul class="keys long">
      <li v-for="(line, at) in lines" :key="line.id">
        <svg viewBox="0 0 26 14" width="26" height="14" aria-hidden="true" v-html="keyOf(at)"></svg>
        <slot :line="line"><span>{{ line.name }}</span></slot>
        <span class="quiet small">{{ peakOf(line) }}</span>
      </li>
      <li v-for="mark in marksOf(lines)">
        <svg viewBox="0 0 18 14" aria-hidden="true" v-html="KEYS[mark + '_hour']"></svg><span>{{ words['state.' + mark] }}</span>
      </li>
    </ul>
    <details>
      <summary>{{ words.as_table }}</summary>
      <div class="scroll" tabindex="0" role="region" :aria-label="label">
        <table class="figures narrow even">
          <caption class="only-read">{{ label }}</caption>
          <thead><tr><th scope="col">{{ words.hour }}</th><th v-for="line in lines" scope="col">{{ line.name }}</th></tr></thead>
          <tbody>
            <tr v-for="start in starts">
              <th scope="row">{{ clockOf(start, starts.length > 25) }}</th>
              <td v-for="line in lines" :class="{ none: line.rows.get(start)?.value == null }">{{ cell(line, start) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </details>`,
  setup() {
    const cell = ({ rows }, start) => {
      const mark = markOf(rows.get(start));
      return number(rows.get(start)?.value) + (mark ? ` (${words[`state.${mark}`]})` : "");
    };
    const marksOf = (lines) => new Set(lines.flatMap(({ rows }) => [...rows.values()].map(markOf)).filter(Boolean));
    function peakOf({ rows }) {
      const valid = [...rows.values()].filter((row) => row.valid && row.value != null);
      const [top] = valid.toSorted((one, other) => other.value - one.value);
      return top ? say("highest", { value: number(top.value), time: clockOf(top.start, rows.size > 25) }) : "";
    }
    return { KEYS, cell, clockOf, keyOf, marksOf, peakOf, words };
  },
};
