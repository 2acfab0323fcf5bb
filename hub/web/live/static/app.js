// The page: its head, what can be chosen, map and table, and the panels beside them.

import { computed, createApp, watchEffect } from "vue";
import { AlertsPanel } from "./alerts.js";
import { ComparePanel } from "./compare.js";
import { choice, choose, chosenSpan, fits, strange } from "./address.js";
import { Detail } from "./detail.js";
import { figures, follow, isOther } from "./figures.js";
import { HubLine, HubPage, isHubPage } from "./hub.js";
import { InSight } from "./sight.js";
import { Legend } from "./legend.js";
import { CityMapFrame } from "./map.js";
import { MomentBar } from "./moment.js";
import { SilentPanel } from "./panels.js";
import { RankPanel } from "./rank.js";
import { ReleasesPanel } from "./releases.js";
import { isAir } from "./scale.js";
import { Scatter } from "./scatter.js";
import { shownWindow } from "./shown.js";
import { FigureTable } from "./table.js";
import { MapPicture, Take } from "./take.js";
import { UnusualPanel, followUsual } from "./usual.js";
import { SharePanel, followWall } from "./views.js";
import { RANGE, exactClock, known, measured, say, share, span, titled, words } from "./words.js";

const LANGUAGES = { nl: "Nederlands", en: "English" };
const GROUP = "group/"; // ids of groups, which stand nowhere
const YEAR = 31_536_000; // s

function remember(key, value) {
  document.cookie = `${key}=${value};path=/;max-age=${YEAR};samesite=lax`;
}

const Head = {
  template: `
    <a v-if="!isHubPage" class="skip" href="#show-table">{{ words.skip }}</a>
    <header class="top">
      <div class="brand">
        <svg viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
          <path d="M2 17h7l3-10 6 18 4-12 2 4h6" fill="none" stroke="currentColor" stroke-width="2.6"
                stroke-linejoin="round" stroke-linecap="round"/>
        </svg>
        <h1>{{ words.title }}</h1>
        <p class="quiet">{{ words.tagline }}</p>
      </div>
      <a class="guide" :href="'live/files/' + known.stamp + '/guide/mobiliteit.html'">{{ words.guide }}</a>
      <nav class="switches" :aria-label="words.language">
        <a v-for="(name, code) in languages" :href="'?lang=' + code" :hreflang="code" :lang="code" :title="name"
           :aria-label="code.toUpperCase() + ': ' + name" :aria-current="code === known.language ? 'true' : null"
           @click.prevent="speak(code)">{{ code.toUpperCase() }}</a>
      </nav>
      <button type="button" class="theme" :aria-label="words.theme" :title="words.theme" @click="turn">
        <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
          <circle cx="12" cy="12" r="9" fill="none" stroke="currentColor" stroke-width="2"/>
          <path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor"/>
        </svg>
      </button>
    </header>`,
  setup() {
    function speak(code) {
      remember("lang", code);
      const [here, there] = [known.language, code].map((lang) => {
        const address = new URL(location.href);
        address.searchParams.set("lang", lang);
        return address;
      });
      history.replaceState(null, "", here); // Back leads to the language that was left
      location.href = there;
    }
    function turn() {
      const { theme } = document.documentElement.dataset;
      choose({ theme }, false); // Back leads to it
      choose({ theme: theme === "dark" ? "light" : "dark" });
      remember("theme", choice.theme);
    }
    return { isHubPage: isHubPage(), known, languages: LANGUAGES, speak, turn, words };
  },
};

const Choices = {
  components: { MomentBar },
  template: `
    <form class="choices" @submit.prevent>
      <label>{{ words.quantity }}
        <select id="choose-quantity" :value="choice.quantity" @change="choose({ quantity: $event.target.value })">
          <option v-for="name in quantities" :value="name">{{ words['quantity.' + name] }}</option>
        </select></label>
      <label>{{ words.window }}
        <select id="choose-lens" :value="choice.lens" @change="choose({ lens: $event.target.value })">
          <option v-for="(_, name) in known.lenses" :value="name" :disabled="!fits(name)">
            {{ words[(choice.at && 'past.' + name) || 'lens.' + name] ?? words['lens.' + name] }}
          </option>
        </select></label>
      <label>{{ words.colour }}
        <select id="choose-colour" :value="choice.colour" @change="choose({ colour: $event.target.value })">
          <option value="value">{{ words.colour_value }}</option>
          <option value="usual" :disabled="!fits('1h')">{{ words.colour_usual }}</option>
        </select></label>
      <label v-if="isAir(known.classes, choice.quantity)">{{ words.classes }}
        <select id="choose-classes" :value="choice.classes" @change="choose({ classes: $event.target.value })">
          <option v-for="name in schemes" :value="name">{{ words['scheme.' + name] }}</option>
        </select></label>
      <label v-if="known.levels.length">{{ words.areas }}
        <select id="choose-level" :value="choice.level" @change="choose({ level: $event.target.value })">
          <option value="none">{{ words.no_areas }}</option>
          <option v-for="level in known.levels" :value="level">{{ words['level.' + level] }}</option>
        </select></label>
      <label v-if="choice.level !== 'none' && known.measures.length">{{ words.colour_by }}
        <select id="choose-measure" :value="choice.measure" @change="choose({ measure: $event.target.value })">
          <option value="">{{ words['quantity.' + choice.quantity] }}</option>
          <option v-for="name in known.measures" :value="name">{{ measured(name) }}</option>
        </select></label>
      <div class="when">
        <MomentBar/>
        <div class="tabs" role="group" :aria-label="words.show_as">
          <button v-for="one in ['map', 'table']" type="button" :id="'show-' + one"
                  :aria-pressed="String(choice.show === one)" @click="choose({ show: one })">{{ words[one] }}</button>
        </div>
      </div>
    </form>`,
  setup() {
    const quantities = computed(() => [...new Set([...known.measured, choice.quantity])]);
    const schemes = [...Object.keys(known.classes.schemes), "auto"];
    return { choice, choose, fits, isAir, known, measured, quantities, schemes, words };
  },
};

const Stage = {
  components: { CityMapFrame, FigureTable, InSight, Legend, MapPicture, Take },
  template: `
    <section class="card stage">
      <header class="summary">
        <h1 v-if="choice.wall || choice.embed" class="only-read">{{ words.title }}</h1>
        <h2>{{ title }} <span class="quiet">{{ when }}</span></h2>
        <p v-if="frame" class="quiet" id="summary">{{ summary }}</p>
        <p v-if="contact.lost" class="alarm" role="status">{{ words.away }} {{ exactClock(frame?.at ?? 0) }}.</p>
        <p v-for="text in strange" class="alarm" role="status">{{ text }}</p>
      </header>
      <div v-show="choice.show === 'map'">
        <div class="map-frame">
          <CityMapFrame/>
          <p v-if="frame && !rows.length" class="empty">{{ words.waiting }}</p>
        </div>
        <InSight/>
        <Legend/>
      </div>
      <FigureTable v-show="choice.show === 'table'" :title="title + ' ' + when"/>
      <div v-if="!choice.embed" class="foot"><Take :name="title + ' ' + when" :asked="asked" :path="ofAreas ? 'area-aggregates' : 'aggregates'"/><MapPicture v-if="choice.show === 'map'" :name="title + ' ' + when"/></div>
    </section>`,
  setup() {
    const { frame, contact, sensors: rows } = figures;
    const title = computed(() => titled(choice.quantity, choice.lens));
    const when = computed(() => {
      const ranged = choice.lens === RANGE;
      const chosen = chosenSpan();
      if (chosen) return span({ ...chosen, ranged });
      const first = rows.value.find((row) => row.start != null && row.start === figures.start.value);
      return first ? span(first) : "";
    });
    const summary = computed(() => {
      const count = (state) => rows.value.filter((row) => row.state === state).length;
      const covered = rows.value.map((row) => row.coverage).filter((one) => one != null);
      const mean = covered.reduce((sum, one) => sum + one, 0) / covered.length;
      const others = rows.value.filter(isOther).length;
      const unplaced = rows.value.filter((row) => row.lat == null && !row.id.startsWith(GROUP)).length;
      return [
        say("with_value", { count: count("valid"), all: rows.value.length }),
        count("running") && say("still_running", { count: count("running") }),
        others && say("of_other_times", { count: others }),
        covered.length && say("mean_coverage", { share: share(mean) }),
        choice.lens === RANGE && known.quantities[choice.quantity].aggregation !== "sum" && words.of_hours,
        unplaced && say("unplaced", { count: unplaced }),
        choice.at ? words.not_live : `${words.updated} ${exactClock(frame.value.at)}`,
        rows.value.some((row) => row.name.endsWith(words.simulated_mark)) && words.simulated,
        choice.level !== "none" && choice.lens.startsWith("5m") && words.areas_by_hour,
      ]
        .filter(Boolean)
        .join(" · ");
    });
    const ofAreas = computed(() => choice.show === "table" && choice.rows === "areas" && figures.areas.value.length > 0);
    const asked = computed(() => {
      const window = shownWindow();
      return window && { ...window, quantity: choice.quantity, ...(ofAreas.value && { level: choice.level }) };
    });
    return { asked, choice, contact, exactClock, frame, ofAreas, rows, strange, summary, title, when, words };
  },
};

const Page = {
  components: {
    AlertsPanel,
    Choices,
    ComparePanel,
    Detail,
    Head,
    HubLine,
    HubPage,
    RankPanel,
    ReleasesPanel,
    Scatter,
    SharePanel,
    SilentPanel,
    Stage,
    UnusualPanel,
  },
  template: `
    <Head v-if="!choice.embed"/>
    <HubPage v-if="isHubPage"/>
    <main v-else-if="choice.embed" class="layout"><div class="city"><Stage/></div></main>
    <main v-else class="layout">
      <div class="city"><Choices/><Stage/><ComparePanel/></div>
      <aside class="side" :aria-label="words.beside">
        <Detail/><Scatter/><RankPanel/><UnusualPanel/><AlertsPanel/><SilentPanel/><SharePanel/><ReleasesPanel/><HubLine/>
      </aside>
    </main>`,
  setup: () => ({ choice, isHubPage: isHubPage(), words }),
};

watchEffect(() =>
  known.classes.schemes[choice.classes]?.colours.forEach((colour, at) =>
    document.documentElement.style.setProperty(`--c${at}`, colour),
  ),
);
follow();
followUsual();
followWall();
createApp(Page).mount("#app");
