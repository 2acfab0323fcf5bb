// Which day or range is shown, as moments on the wall and in words.

import { choice, chosenSpan } from "./address.js";
import { figures } from "./figures.js";
import { RANGE, civilDate, known, onTheWall, stampOf, words } from "./words.js";

const HOUR = 3600; // s
const DAY = 86_400_000; // ms

/** The range that is chosen, or the last 24 whole hours, as moments on the wall; nothing where it is a day. */
export function range() {
  if (choice.lens !== RANGE) return null;
  const until = Math.floor(Date.now() / 3.6e6) * HOUR;
  const { start, end } = chosenSpan() ?? { start: until - known.lenses[RANGE], end: until };
  return { at: onTheWall(start), until: onTheWall(end), hours: (end - start) / HOUR };
}

/** The day that is shown, as a moment on the wall; nothing of today. */
export function shownAt() {
  const isOfDays = choice.lens === "1d" && figures.start.value;
  return choice.at || (isOfDays ? onTheWall(figures.start.value) : "");
}

/** The day or range that is shown, in a sentence. */
export function shownDay(at) {
  const chosen = range();
  if (chosen) return [chosen.at, chosen.until].map((one) => `${civilDate(one)} ${one.slice(11, 16)}`).join(" – ");
  return at ? civilDate(at) : words.today.toLowerCase();
}

/** What the API is asked for the hours of the day or range that is shown: `from` and `to`, by the clock on the wall. */
export function shownHours() {
  const chosen = range();
  if (chosen) return { from: chosen.at, to: chosen.until, window: "1h" };
  const day = (shownAt() || onTheWall(Date.now() / 1000)).slice(0, 10);
  const next = new Date(Date.parse(day) + DAY).toISOString().slice(0, 10);
  return { from: `${day}T00:00`, to: `${next}T00:00`, window: "1h" };
}

/** What the API is asked for the window that map and table show; of a range its hours. */
export function shownWindow() {
  if (choice.lens === RANGE) return shownHours();
  const window = choice.lens.replace("-now", "");
  const start = choice.at ? stampOf(choice.at) : figures.start.value;
  if (start == null) return null;
  const from = onTheWall(start);
  if (window === "1d") {
    return { from: from.slice(0, 10), to: new Date(Date.parse(from.slice(0, 10)) + DAY).toISOString().slice(0, 10), window };
  }
  return { from, to: onTheWall(start + known.lenses[window]), window };
}
