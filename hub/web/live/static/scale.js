// The classes of the legend: fixed ones of the quantity or of a scheme of air, and round steps of what there is.

export const CLASSES = 6;
const FINEST = 0.001; // what figures are rounded to

function roundUp(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 2.5, 5, 10].find((nice) => nice * power >= step * 0.999) * power;
}

/**
 * The lower edges of all classes but the first, at equal round steps (1, 2, 2.5 or 5 times 10^n).
 *
 * They cover `low` to `high`, and stay the same while these move a little; what is higher is in the last class.
 */
export function edges(low, high) {
  const begin = low >= 0 && low < (high - low) / 2 ? 0 : low;
  const step = high > begin ? Math.max(roundUp((high - begin) / (CLASSES - 1)), FINEST) : 1;
  const first = Math.floor(begin / step) * step;
  return Array.from({ length: CLASSES - 1 }, (_, at) => Number((first + step * (at + 1)).toFixed(9)));
}

/** Whether little of it is what matters: a slow street gets the strong colour that a busy one has. */
export const isSpeed = (quantity) => quantity.includes("speed");

/** By how much the classes of an hour grow for a sum of so many hours. A day counts as ten hours: its night is quiet. */
function timesOf(hours) {
  if (hours < 1) return 0.1;
  return hours <= 10 ? hours : 10 * Math.ceil(hours / 24);
}

/** Whether there are schemes for the classes of a quantity. */
export const isAir = ({ schemes }, quantity) => Object.values(schemes).some((one) => one.bounds[quantity]);

/**
 * The fixed classes of a quantity in windows of so many hours: of the scheme `chosen` where it has the substance, else its own.
 *
 * `above` is whether an edge itself belongs to the class below it. Null where air is coloured by the values.
 */
export function fixedClasses(classes, chosen, quantity, isSum, hours) {
  const scheme = classes.schemes[chosen]?.bounds[quantity] && chosen;
  if (scheme) return { edges: classes.schemes[scheme].bounds[quantity], tone: "c", above: true, scheme };
  if (chosen === "auto" && isAir(classes, quantity)) return null;
  const times = isSum ? timesOf(hours) : 1;
  return { edges: classes.fixed[quantity].map((edge) => edge * times), tone: isSpeed(quantity) ? "s" : "k", above: false };
}

/** Which class a value is in. */
export const classOf = (value, { edges, above }) => edges.filter((edge) => (above ? value > edge : value >= edge)).length;
