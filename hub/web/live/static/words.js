// The words of the page in the viewer's language, and numbers and times as that language writes them.

export const known = JSON.parse(document.getElementById("known").textContent);
export const words = known.words;
/** What the browser keeps by name; nothing where it denies that to a page in a frame of another site. */
export const kept = (() => {
  try {
    return localStorage;
  } catch {
    return {};
  }
})();
/** The lens of some hours together. */
export const RANGE = "range";

const locale = words.locale;
const timeZone = known.zone;
const DAY = 86_400; // s

/** How much larger letters are than on a desk. */
export const enlarged = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;

/** The text of a key, with `{name}` filled in; `otherwise` stands in for a key that the catalogue lacks. */
export function say(key, values = {}, otherwise = key) {
  return (words[key] ?? otherwise).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const SIMULATED = "(simulated)"; // at the end of the names of the demo's sensors and groups

/** What the hub says in JSON, with the mark of what is simulated in the viewer's language. */
export const understood = (text) => JSON.parse(text.replaceAll(SIMULATED, words.simulated_mark));

const formats = new Map();

/** A form of numbers or times in the viewer's language; each is made once. */
function form(kind, options) {
  const key = kind.name + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new kind(locale, options));
  return formats.get(key);
}

/** A number with so many significant digits; what is larger is written whole. */
export function number(value, digits = 3) {
  if (value == null) return words.none;
  const whole = Math.abs(value) >= 10 ** (digits - 1);
  return form(Intl.NumberFormat, whole ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits }).format(value);
}

/** A share in whole percents, rounded down: only what is complete is 100 %. */
export function share(value) {
  if (value == null) return "–";
  return form(Intl.NumberFormat, { style: "percent" }).format(Math.floor(value * 100 + 1e-6) / 100);
}

/** The date of a moment as an address writes it (`2026-11-28T09:00`), or today's, by the parts that are asked for. */
function civil(at, parts) {
  const zone = at ? "UTC" : timeZone;
  return form(Intl.DateTimeFormat, { timeZone: zone, ...parts }).format(
    at ? Date.parse(at.slice(0, 10)) : Date.now(),
  );
}

export const weekday = (at) => civil(at, { weekday: "long" });

const wallClock = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short", timeZone });
const wall = (seconds) => wallClock.format(seconds * 1000).replace(" ", "T");

const DATE = { weekday: "short", day: "numeric", month: "short" };
const MOMENT = { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit" };
/** The parts of a date, with the year of a moment on the wall where that is not this year. */
const inYear = (parts, at) => (wall(Date.now() / 1000).startsWith(at.slice(0, 4)) ? parts : { ...parts, year: "numeric" });

export const civilDate = (at) => civil(at, inYear(DATE, at));

/** Date and time of a moment as an address writes it. */
export const civilMoment = (at) =>
  form(Intl.DateTimeFormat, { timeZone: "UTC", ...inYear(MOMENT, at) }).format(Date.parse(`${at.slice(0, 16)}Z`)).replace(",", "");

/** How far the clock on the wall is ahead of UTC (s) at a stamp of whole minutes. */
const ahead = (seconds) => Date.parse(`${wall(seconds)}Z`) / 1000 - seconds;

/** The stamp (s since 1970) of a moment as an address writes it; of the hour that autumn has twice the first. */
export function stampOf(moment) {
  if (moment.length > 16) return Date.parse(moment) / 1000;
  const utc = Date.parse(`${moment.padEnd(16, "T00:00")}Z`) / 1000;
  const [before, after] = Number.isNaN(utc) ? [NaN, NaN] : [utc - DAY, utc + DAY].map(ahead);
  return utc - ([before, after].find((one) => ahead(utc - one) === one) ?? before);
}

/** A stamp (s since 1970) by the hub's clock on the wall, as an address writes it; the second of two with its offset. */
export function onTheWall(seconds) {
  const whole = Math.floor(seconds / 60) * 60;
  const text = wall(whole);
  if (stampOf(text) === whole) return text;
  const minutes = ahead(whole) / 60;
  const clock = [minutes / 60, minutes % 60].map((part) => String(Math.trunc(Math.abs(part))).padStart(2, "0"));
  return `${text}${minutes < 0 ? "-" : "+"}${clock.join(":")}`;
}

/** A stamp (s since 1970) by the parts that are asked for, in the hub's own zone. */
function written(seconds, parts) {
  return form(Intl.DateTimeFormat, { timeZone, ...parts }).format(seconds * 1000);
}

export const clock = (seconds) => written(seconds, { hour: "2-digit", minute: "2-digit" });

const zonedClock = (seconds) => written(seconds, { hour: "2-digit", minute: "2-digit", timeZoneName: "short" });

export const exactClock = (seconds) => written(seconds, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const date = (seconds) => written(seconds, inYear(DATE, wall(seconds)));

/** Date and time of a stamp in ISO 8601; in the second of two hours of one name with its offset. */
export function moment(stamp) {
  const at = onTheWall(Date.parse(stamp) / 1000);
  return civilMoment(at) + at.slice(16);
}

/** From when to when a window is, or the date of a day; a range has two dates. */
export function span({ start, end, ranged = false }) {
  if (start == null) return "–";
  if (ranged) return `${date(start)} ${clock(start)} – ${date(end)} ${clock(end)}`;
  if (end - start > 20 * 3600) return date(start);
  const day = date(start) === civilDate("") ? "" : `${date(start)} `;
  const twice = [start, end].some((one) => onTheWall(one).length > 16); // of the hour that autumn has twice
  const [from, until] = [start, end].map((one) => (twice ? zonedClock(one) : clock(one)));
  return `${day}${from} – ${until}`;
}

/** The unit of a quantity as words: a count is so many an hour, or a day. */
export function unit(quantity, lens) {
  const { unit: name, aggregation } = known.quantities[quantity];
  return aggregation === "sum" ? words[`per.${lens.replace("-now", "")}`] : say(`unit.${name}`, {}, name);
}

/** The name of a measure of CBS. */
export const measured = (name) => say(`measure.${name}`, {}, name);

/** A statistic of CBS in its unit: thousands of euros in euros. */
export function statistic(value, unit, digits = 4) {
  if (unit === "1000 EUR") return `€ ${number(1000 * value, digits)}`;
  return `${number(value, digits)} ${say(`unit.${unit}`, {}, unit ?? "")}`.trim();
}

/** The period of a statistic in the words of the viewer. */
export function period(text) {
  return (text ?? "").replace("1 January", words.first_of_january).replace("year", words.in_year);
}

/** A quantity with its unit. */
export function titled(quantity, lens) {
  return [words[`quantity.${quantity}`], unit(quantity, lens)].filter(Boolean).join(", ");
}
