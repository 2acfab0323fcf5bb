// Sensors and groups side by side, at most six in one chart; and the lanes, directions and classes of one.

import { computed, shallowRef, watch } from "vue";
import { choice, choose, open } from "./address.js";
import { figures } from "./figures.js";
import { LOOKS, LinesWithTable, byStart, channelName, fetchItems } from "./hours.js";
import { shownAt, shownDay, shownHours } from "./shown.js";
import { Take } from "./take.js";
import { say, titled, unit, words } from "./words.js";

const MOST = LOOKS.length;
const AGAIN = 60_000; // ms between two looks at hours that still change

/** The ids of what is compared. */
export const compared = computed(() => choice.compare.split("|").filter(Boolean).slice(0, MOST));

/** Put a sensor among what is compared, or take it out. */
export function compare(id) {
  const others = compared.value.filter((one) => one !== id);
  const more = compared.value.includes(id) ? others : [...others, id];
  choose({ compare: more.join("|") });
}

export const isFull = (id) => compared.value.length >= MOST && !compared.value.includes(id);

/** Follow the hours that are shown, of what `asked` says; the newest again each minute. */
function followHours(asked) {
  const found = shallowRef(null);
  let read = 0;
  async function look() {
    const wanted = asked();
    read = Date.now();
    const rows = wanted && (await fetchItems("aggregates", { ...wanted, limit: 10_000, format: "json" }));
    if (JSON.stringify(wanted) === JSON.stringify(asked())) found.value = rows || null;
  }
  watch(() => JSON.stringify(asked()), look, { immediate: true });
  watch(figures.frame, () => !choice.at && Date.now() - read > AGAIN && look());
  return found;
}

export const ComparePanel = {
  components: { LinesWithTable, Take },
  template: `
    <section v-if="compared.length" class="card" id="compare">
      <h2>{{ words.compared_sensors }} <span class="quiet">{{ day }}</span></h2>
      <p v-if="rows && !rows.length" class="quiet">{{ words.empty_range }}</p>
      <LinesWithTable :lines="lines" :starts="hours.starts" :unit="unit" :label="label" v-slot="{ line }">
        <button type="button" class="link" @click="open('sensor', line.id)">{{ line.name }}</button>
        <button type="button" class="link" :aria-label="say('remove', { name: line.name })" @click="compare(line.id)">×</button>
      </LinesWithTable>
      <Take frame="#compare" :name="label" :asked="asked()"/>
      <details v-if="members.length > 1" id="as-group">
        <summary>{{ words.as_group }}</summary>
        <p class="quiet small">{{ words.as_group_note }}</p>
        <textarea readonly rows="8" :aria-label="words.as_group" :value="groupFile" @focus="$event.target.select()"></textarea>
      </details>
    </section>`,
  setup() {
    const asked = () => compared.value.length && { ...shownHours(), quantity: choice.quantity, sensor: compared.value };
    const rows = followHours(asked);
    const hours = computed(() => byStart(rows.value ?? [], (row) => row.sensor_id));
    const nameOf = (id) => figures.sensors.value.find((row) => row.id === id)?.name ?? id;
    const lines = computed(() =>
      compared.value.map((id) => ({ id, name: nameOf(id), rows: hours.value.found.get(id) ?? new Map() })),
    );
    const members = computed(() => compared.value.filter((id) => !id.startsWith("group/")));
    /** What is compared as a group of docs/groups.md; a string of JSON is one of TOML. */
    const groupFile = computed(() => {
      const title = lines.value.filter(({ id }) => members.value.includes(id)).map(({ name }) => name).join(" + ");
      const each = members.value.map((id) => `    { sensor = ${JSON.stringify(id)} },`);
      const head = [`[${words.new_group}]`, `title = ${JSON.stringify(title)}`, `quantities = ["${choice.quantity}"]`];
      return [...head, "members = [", ...each, "]", ""].join("\n");
    });
    return {
      asked,
      compare,
      compared,
      groupFile,
      members,
      day: computed(() => shownDay(shownAt())),
      hours,
      label: computed(() => `${titled(choice.quantity, "1h")}, ${shownDay(shownAt())}`),
      lines,
      open,
      rows,
      say,
      unit: computed(() => unit(choice.quantity, "1h")),
      words,
    };
  },
};

/** The channels of a sensor, those that count most first. */
export const PartsOf = {
  components: { LinesWithTable },
  props: ["id"],
  template: `
    <template v-if="lines.length > 1">
      <h3>{{ words.parts_of }}</h3>
      <LinesWithTable :lines="lines" :starts="hours.starts" :unit="unit" :label="words.parts_of"/>
      <p v-if="more > 0" class="quiet small">{{ say('and_more', { count: more }) }}</p>
    </template>`,
  setup(props) {
    const rows = followHours(() => ({ ...shownHours(), quantity: choice.quantity, sensor: props.id, channels: "true" }));
    const hours = computed(() => byStart((rows.value ?? []).filter((row) => !row.channel.startsWith("index")), (row) => row.channel));
    const size = (windows) => [...windows.values()].reduce((sum, row) => sum + (row.value ?? 0), 0);
    const all = computed(() =>
      [...hours.value.found]
        .toSorted(([, one], [, other]) => size(other) - size(one))
        .map(([channel, windows]) => ({ id: channel, name: channelName(channel), rows: windows })),
    );
    const lines = computed(() => all.value.slice(0, MOST));
    return {
      hours,
      lines,
      more: computed(() => all.value.length - lines.value.length),
      say,
      unit: computed(() => unit(choice.quantity, "1h")),
      words,
    };
  },
};
