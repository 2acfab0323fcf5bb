// How good a figure is, in words.

import { choice } from "./address.js";
import { besideUsual, usualClass } from "./usual.js";
import { known, say, share, words } from "./words.js";

const DAY = 20 * 3600; // s: what is longer is a day

/** Why a figure is not valid; `seen` of `expected` are lanes or directions, of an area its sensors. */
function why({ kind, seen, expected, coverage, start, end, ranged }) {
  const { coverage: least, hours } = known.quantities[choice.quantity];
  if (ranged) return say("why.range", { seen, expected, least: share(least) });
  if (kind === "area" && seen < expected) return say("why.sensors", { seen, expected });
  if (kind === "sensor" && expected == null) return words["why.unknown_parts"];
  if (kind === "sensor" && seen < expected) return say("why.parts", { seen, expected });
  if (coverage == null) return words["why.unknown_coverage"];
  if (end - start > DAY && hours) return say("why.hours", { hours });
  if (coverage >= least) return words["why.a_part"];
  return say("why.coverage", { share: share(coverage), least: share(least) });
}

/** The state of a figure, why it is not valid, and whether readings of it are flagged. */
export function judged(row) {
  const reason = row.state === "invalid" ? `: ${why(row)}` : "";
  return words[`state.${row.state}`] + reason + (row.flags ? `, ${words["state.flagged"]}` : "");
}

/** The colour of a figure, a class of the style sheet: by its value, or by how usual it is; null where it has none. */
export function toneOf(row) {
  if (row.measure || choice.colour !== "usual") return row.tone;
  const deviation = besideUsual(row)?.deviation;
  return deviation == null ? null : `d${usualClass(deviation)}`;
}
