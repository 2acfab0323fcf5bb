// The classes of the legend.

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
