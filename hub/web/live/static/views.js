// Share what is shown: a permanent address, a frame for another page, and saved views that a wall shows in turn.

import { computed, ref, watch } from "vue";
import { choice, choose, read } from "./address.js";
import { figures } from "./figures.js";
import { permalink } from "./take.js";
import { kept, known, say, words } from "./words.js";

const KEPT = "stadspuls-views"; // where the browser keeps them
const TURN = 20; // s that a wall shows each view

const views = ref(JSON.parse(kept[KEPT] ?? "[]"));
watch(views, (now) => (kept[KEPT] = JSON.stringify(now)), { deep: true });

/** The address of a wall that shows one of these views now and all in turn: all that it needs stands in it. */
export function wallOf(queries, at = 0, seconds = TURN) {
  const asked = new URLSearchParams(queries[at]);
  asked.set("wall", seconds);
  for (const one of queries) asked.append("view", one);
  return `${location.pathname}?${asked}`;
}

/** What an address asks for, without the wall that shows it. */
function viewOf(search) {
  const asked = new URLSearchParams(search);
  for (const one of ["wall", "view"]) asked.delete(one);
  return asked;
}

/** Turn to the next view while the address is that of a wall; on it the hub's news go on as on any page. */
export function followWall() {
  let due = null;
  let at = 0;
  function turn() {
    const queries = new URLSearchParams(location.search).getAll("view");
    if (queries.length > 1) {
      at = (at + 1) % queries.length;
      history.replaceState(null, "", wallOf(queries, at, choice.wall));
      read();
    }
    due = setTimeout(turn, 1000 * choice.wall);
  }
  function leave() {
    const address = new URL(location.href);
    address.searchParams.delete("view");
    history.replaceState(null, "", address);
    choose({ wall: "" }, false);
  }
  watch(
    () => [choice.wall, choice.embed],
    ([wall, embed]) => {
      Object.assign(document.documentElement.dataset, { wall: wall ? "on" : "", embed: embed ? "on" : "" });
      clearTimeout(due);
      if (wall) due = setTimeout(turn, 1000 * wall);
      else if (document.fullscreenElement) document.exitFullscreen();
    },
    { immediate: true },
  );
  addEventListener("keydown", ({ key }) => key === "Escape" && choice.wall && leave());
  document.addEventListener("fullscreenchange", () => !document.fullscreenElement && choice.wall && leave());
}

export const SharePanel = {
  template: `
    <details class="card" id="share">
      <summary><h2>{{ words.share_view }}</h2></summary>
      <label>{{ words.permalink }}
        <input readonly id="permalink" :value="link" @focus="$event.target.select()"></label>
      <label>{{ words.frame_code }}
        <textarea readonly id="frame-code" rows="3" :value="frame" @focus="$event.target.select()"></textarea></label>
      <p class="quiet small">{{ words.frame_note }}</p>
      <h3>{{ words.saved_views }}</h3>
      <form class="row" @submit.prevent="save">
        <label>{{ words.view_name }} <input id="view-name" v-model.trim="name" required maxlength="60"></label>
        <button type="submit" class="tool">{{ words.save }}</button>
      </form>
      <ul class="plain">
        <li v-for="(view, at) in views" :key="view.query">
          <a :href="'?' + view.query">{{ view.name }}</a>
          <button type="button" class="link" :aria-label="say('remove', { name: view.name })" @click="views.splice(at, 1)">×</button>
        </li>
      </ul>
      <button type="button" class="tool" id="start-wall" @click="wall">{{ words.start_wall }}</button>
      <p class="quiet small">{{ words.wall_note }}</p>
    </details>`,
  setup() {
    const name = ref("");
    const query = computed(() => {
      Object.values(choice).join(); // it follows every choice
      return viewOf(new URL(permalink(figures.start.value)).search);
    });
    const addressOf = (asked, path = "") => `${location.origin}${location.pathname}${path}?${asked}`;
    const link = computed(() => addressOf(query.value));
    const frame = computed(() => {
      const asked = new URLSearchParams(query.value);
      if (!choice.at) asked.delete("at"); // what is live stays live
      asked.set("lens", choice.lens);
      asked.set("embed", "1");
      const key = known.frames[choice.quantity]; // of a hub that asks for a token
      const address = addressOf(asked, key && `read/${choice.quantity}/${key}/`).replaceAll("&", "&amp;");
      return `<iframe src="${address}" width="800" height="600" title="Stadspuls" loading="lazy"></iframe>`;
    });
    /** A view that is live stays live. */
    function save() {
      views.value.push({ name: name.value, query: viewOf(location.search).toString() });
      name.value = "";
    }
    async function wall() {
      const queries = views.value.length ? views.value.map((view) => view.query) : [location.search.slice(1)];
      await document.documentElement.requestFullscreen?.().catch(() => {});
      history.pushState(null, "", wallOf(queries));
      read();
    }
    return { frame, link, name, save, say, views, wall, words };
  },
};
