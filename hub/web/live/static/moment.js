// The bar that chooses a moment or a range, steps, plays a day, and leads back to now.

import { computed, ref } from "vue";
import { choice, choose, step } from "./address.js";
import { arrived, figures } from "./figures.js";
import { RANGE, known, onTheWall, words } from "./words.js";

const DAY = 86_400; // s
const DAY_TAKES = 30_000; // ms to play a day
const LONGEST_LOOK = 1500; // ms at one window while playing
const wait = (time) => new Promise((done) => setTimeout(done, time));

const playing = ref(false);

/** Show one window after the other, from a day ago or from what is chosen, until now; one entry of the history. */
async function play() {
  playing.value = !playing.value;
  if (!playing.value) return;
  const length = () => known.lenses[choice.lens];
  if (!choice.at) choose({ at: onTheWall(Date.now() / 1000 - Math.max(DAY, 7 * length())) });
  while (playing.value && choice.at) {
    const shown = choice.at;
    await Promise.all([arrived(), wait(Math.min(LONGEST_LOOK, (length() / DAY) * DAY_TAKES))]);
    if (shown !== choice.at) break; // by the viewer
    if (playing.value) step(1, undefined, false);
  }
  playing.value = false;
}

export const MomentBar = {
  template: `
    <div class="moment" role="group" :aria-label="words.moment">
      <button type="button" :aria-label="words.earlier" :title="words.earlier" @click="go(-1)">‹</button>
      <label>{{ words.moment }}
        <input :key="type" :type="type" id="choose-moment" :step="seconds" :value="written(choice.at || newest)"
               :max="written(now())" @change="choose({ at: $event.target.value })"></label>
      <label v-if="choice.lens === RANGE">{{ words.until }}
        <input :type="type" id="choose-until" :step="seconds" :value="written(choice.until || newestEnd)"
               :max="written(now())" @change="choose({ at: choice.at || newest, until: $event.target.value })"></label>
      <button type="button" :aria-label="words.later" :title="words.later" :disabled="!choice.at"
              @click="go(1)">›</button>
      <button type="button" id="play" @click="play">{{ playing ? words.pause : words.play }}</button>
      <button type="button" id="choose-now" :aria-pressed="String(!choice.at)"
              @click="choose({ at: '' })">{{ words.now }}</button>
    </div>`,
  setup() {
    const now = () => onTheWall(Date.now() / 1000);
    const type = computed(() => (choice.lens.startsWith("1d") ? "date" : "datetime-local"));
    const seconds = computed(() => (type.value === "date" ? 1 : Math.min(3600, known.lenses[choice.lens])));
    const written = (moment) => moment.slice(0, type.value === "date" ? 10 : 16);
    const start = () => figures.start.value ?? Date.now() / 1000;
    const newest = computed(() => onTheWall(start()));
    const newestEnd = computed(() => onTheWall(start() + known.lenses[choice.lens]));
    const go = (windows) => step(windows, start());
    return { RANGE, choice, choose, go, newest, newestEnd, now, play, playing, seconds, type, words, written };
  },
};
