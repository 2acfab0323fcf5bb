// Take it with you: the figures as CSV and Excel from the API, a chart or the map as a picture.

import { computed } from "vue";
import { choice } from "./address.js";
import { query } from "./hours.js";
import { known, onTheWall, words } from "./words.js";

const TABLES = { [known.language === "nl" ? "csv-nl" : "csv"]: "CSV", xlsx: "Excel" }; // forms of the API, by name
const TOP = 30; // px above a picture, for its title
const LINE = 20; // px
const COLUMN = 150; // px of an entry of a legend, at least
const SHARP = 2; // pixels of a picture for each of the screen's

const colours = () => getComputedStyle(document.documentElement);

/** A name of a file that says what is in it. */
const fileName = (name, form) => `stadspuls ${name}`.replace(/[^\p{L}\p{N}]+/gu, "-").toLowerCase() + `.${form.replace("-nl", "")}`;

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const escaped = (text) => text.replace(/[&<>]/g, (one) => `&#${one.charCodeAt(0)};`);

/** A line of text in a picture; `more` are attributes. */
const text = (x, y, said, size = 13, more = "") =>
  `<text x="${x}" y="${y}" font-family="sans-serif" font-size="${size}" fill="var(--ink)" ${more}>${escaped(said)}</text>`;

/** A picture as a file, which knows no style sheet: its colours are values, on the ground of the page. */
function standing(body, width, height) {
  const css = colours();
  const ground = `<rect width="100%" height="100%" fill="var(--panel)"/>`;
  const whole = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${ground}${body}</svg>`;
  return { text: whole.replace(/var\((--[\w-]+)\)/g, (_, name) => css.getPropertyValue(name).trim()), width, height };
}

const inner = (element) => [...element.childNodes].map((one) => new XMLSerializer().serializeToString(one)).join("");

/** A drawing of the page, or its `copy`, as a part of a picture. */
function placed(svg, x, y, copy = svg) {
  const { width, height } = svg.getBoundingClientRect();
  const [left, top, across, down] = svg.getAttribute("viewBox")?.split(" ") ?? [0, 0, width, height];
  return `<svg x="${x}" y="${y}" width="${width}" height="${height}" viewBox="${left} ${top} ${across} ${down}">${inner(copy)}</svg>`;
}

/** A chart with its title above it and its keys beneath. */
function chartPicture(svg, title) {
  const { width, height } = svg.getBoundingClientRect();
  const keys = [...svg.closest(".chart").nextElementSibling.querySelectorAll(".keys > li")];
  const size = Math.min(15, (width - 16) / (0.6 * title.length)); // px: a letter is some 0.6 as wide
  const said = keys.map((one, at) => {
    const y = TOP + height + 16 + LINE * at;
    return placed(one.querySelector("svg"), 8, y - 11) + text(42, y, one.children[1].textContent.trim());
  });
  const body = [text(8, 20, title, size, 'font-weight="600"'), placed(svg, 0, TOP), ...said].join("");
  return standing(body, width, TOP + height + (keys.length ? 8 + LINE * keys.length : 0));
}

async function drawn({ text, width, height }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: SHARP * width, height: SHARP * height });
  const context = canvas.getContext("2d");
  context.fillStyle = colours().getPropertyValue("--panel").trim();
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** What may be taken of a panel: figures that the API is `asked` for, and the picture in `frame`, a selector. */
export const Take = {
  props: ["frame", "name", "asked", "path"],
  template: `
    <p class="take small">
      <span class="quiet">{{ words.take }}</span>
      <a v-for="(text, form) in links" :href="text" :download="fileName(name, form)">{{ forms[form] }}</a>
      <template v-if="frame">
        <button type="button" class="link" @click="picture('png')">PNG</button>
        <button type="button" class="link" @click="picture('svg')">SVG</button>
      </template>
    </p>`,
  setup(props) {
    const links = computed(() => {
      const address = (format) => `api/v1/${props.path ?? "aggregates"}?${query({ ...props.asked, format })}`;
      return props.asked ? Object.fromEntries(Object.keys(TABLES).map((form) => [form, address(form)])) : {};
    });
    async function picture(form) {
      const svg = document.querySelector(`${props.frame} .chart svg`);
      if (!svg) return;
      const made = chartPicture(svg, props.name);
      const blob = form === "png" ? await drawn(made) : new Blob([made.text], { type: "image/svg+xml" });
      save(blob, fileName(props.name, form));
    }
    return { fileName, forms: TABLES, links, picture, words };
  },
};

/** The address of what is shown now, also of what is live: its moment stands in it. */
export function permalink(start) {
  const address = new URL(location.href);
  if (!choice.at && start) address.searchParams.set("at", onTheWall(start));
  address.searchParams.set("lens", choice.lens.replace("-now", ""));
  address.searchParams.set("quantity", choice.quantity);
  return address.href;
}

/** A copy of a drawing with the look of every shape written into itself, as a picture has no style sheet. */
function inlined(element) {
  const copy = element.cloneNode(true);
  const [own, copied] = [element, copy].map((one) => [...one.querySelectorAll("path, circle")]);
  own.forEach((shape, at) => {
    const css = getComputedStyle(shape);
    for (const name of ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap"]) {
      copied[at].setAttribute(name, css.getPropertyValue(name).replaceAll('"', "'"));
    }
  });
  return copy;
}

/** What hatches, which shapes refer to. */
function hatches() {
  const copy = document.querySelector(".patterns defs").cloneNode(true);
  for (const one of copy.querySelectorAll("rect")) one.setAttribute("fill", "var(--map)");
  for (const one of copy.querySelectorAll("line")) one.setAttribute("style", "stroke: var(--missing); stroke-width: 1.5; opacity: 0.8");
  return new XMLSerializer().serializeToString(copy);
}

/** The map as a picture of its own: roads, areas, sensors and names as they stand, with its legend and sources beneath. */
function mapPicture(frame, name) {
  const { left, top, width, height } = frame.getBoundingClientRect();
  const layers = [...frame.querySelectorAll(".leaflet-pane canvas, .leaflet-pane svg")].map((one) => {
    const at = one.getBoundingClientRect();
    const [x, y] = [at.left - left, at.top - top];
    if (one.tagName !== "CANVAS") return placed(one, x, y, inlined(one));
    return `<image x="${x}" y="${y}" width="${at.width}" height="${at.height}" href="${one.toDataURL()}"/>`;
  });
  const halo = 'text-anchor="middle" paint-order="stroke" stroke="var(--panel)" stroke-width="3" stroke-linejoin="round"';
  const names = [...frame.querySelectorAll(".place-name span")].map((one) => {
    const at = one.getBoundingClientRect();
    return text(at.left + at.width / 2 - left, at.top + 0.7 * at.height - top, one.textContent, 0.7 * at.height, halo);
  });
  let line = TOP + height + 22;
  /** Entries of the legend in columns, each with its mark. */
  function entries(all, marked) {
    const first = line;
    const across = Math.max(1, Math.floor(width / COLUMN));
    const found = [...all].map((one, at) => {
      const [x, y] = [6 + (at % across) * (width / across), first + LINE * Math.floor(at / across)];
      return marked(one, x, y) + text(x + 20, y, one.textContent.trim());
    });
    line = first + LINE * Math.ceil(found.length / across);
    return found;
  }
  const scales = [...document.querySelectorAll(".legend .scale")].flatMap((scale) => {
    const title = text(6, line, scale.querySelector(".scale-name").textContent);
    line += LINE;
    const swatch = (one, x, y) => {
      const fill = getComputedStyle(one.querySelector("i")).backgroundColor;
      return `<circle cx="${x + 6}" cy="${y - 4}" r="6" fill="${fill}" stroke="#555"/>`;
    };
    return [title, ...entries(scale.querySelectorAll("li"), swatch)];
  });
  const mark = (one, x, y) => placed(one.querySelector("svg"), x - 3, y - 13, inlined(one.querySelector("svg")));
  const states = entries(document.querySelectorAll(".legend .states li"), mark);
  const sources = frame.querySelector(".leaflet-control-attribution")?.textContent ?? "";
  const about = document.getElementById("summary")?.textContent ?? "";
  const ground = '<rect width="100%" height="100%" fill="var(--map)"/>';
  const body = [
    hatches(),
    `<svg y="${TOP}" width="${width}" height="${height}">${[ground, ...layers, ...names].join("")}</svg>`,
    text(8, 21, name, 16),
    ...scales,
    ...states,
    text(6, line + 4, about, 11),
    text(6, line + LINE, sources, 11),
  ];
  return standing(body.join(""), width, line + 32);
}

export const MapPicture = {
  props: ["name"],
  template: `
    <p class="take small" id="map-picture">
      <span class="quiet">{{ words.take_map }}</span>
      <button v-for="form in ['png', 'svg']" type="button" class="link" @click="picture(form)">{{ form.toUpperCase() }}</button>
    </p>`,
  setup(props) {
    async function picture(form) {
      const made = mapPicture(document.querySelector(".map"), props.name);
      const blob = form === "png" ? await drawn(made) : new Blob([made.text], { type: "image/svg+xml" });
      save(blob, fileName(props.name, form));
    }
    return { picture, words };
  },
};
