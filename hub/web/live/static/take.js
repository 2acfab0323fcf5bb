// Take it with you: the figures as CSV and Excel from the API, a chart or the map as a picture.

import { computed } from "vue";
import { choice } from "./address.js";
import { query } from "./hours.js";
import { known, onTheWall, words } from "./words.js";

const TABLES = { [known.language === "nl" ? "csv-nl" : "csv"]: "CSV", xlsx: "Excel" }; // forms of the API, by name
const SHARP = 2; // pixels of a picture for each of the screen's

const colours = () => getComputedStyle(document.documentElement);

/** A name of a file that says what is in it. */
const fileName = (name, form) => `stadspuls ${name}`.replace(/[^\p{L}\p{N}]+/gu, "-").toLowerCase() + `.${form.replace("-nl", "")}`;

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The text of an SVG whose colours are values, on the ground of the page: a file knows no style sheet. */
function standing(svg, title) {
  const css = colours();
  const copy = svg.cloneNode(true);
  const { width, height } = svg.getBoundingClientRect();
  const top = 30;
  for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height: height + top })) {
    copy.setAttribute(name, value);
  }
  copy.setAttribute("viewBox", `0 ${-top} ${width} ${height + top}`);
  copy.setAttribute("style", `background:${css.getPropertyValue("--panel").trim()}`);
  const text = new XMLSerializer().serializeToString(copy).replace(/var\((--[\w-]+)\)/g, (_, name) => css.getPropertyValue(name).trim());
  const escaped = title.replace(/[&<>]/g, (one) => `&#${one.charCodeAt(0)};`);
  const ink = css.getPropertyValue("--ink").trim();
  const size = Math.min(15, (width - 16) / (0.6 * title.length)); // px: a letter is some 0.6 as wide
  const head = `<text x="8" y="-10" font-family="sans-serif" font-size="${size}" font-weight="600" fill="${ink}">${escaped}</text>`;
  return { text: text.replace(/<\/svg>\s*$/, `${head}</svg>`), width, height: height + top };
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
      const made = standing(svg, props.name);
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

/** Write the look of every shape into itself, as a picture has no style sheet. */
function inlined(element) {
  const copy = element.cloneNode(true);
  const [own, copied] = [element, copy].map((one) => [...one.querySelectorAll("path")]);
  own.forEach((path, at) => {
    const css = getComputedStyle(path);
    for (const name of ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray"]) {
      const value = css.getPropertyValue(name);
      copied[at].setAttribute(name, value.includes("url(") ? colours().getPropertyValue("--map").trim() : value);
    }
  });
  return copy.innerHTML;
}

/** The map as an SVG of its own: roads, areas and sensors as they stand, with its legend and sources beneath. */
function mapPicture(frame, name) {
  const within = frame.getBoundingClientRect();
  const css = colours();
  const layers = [...frame.querySelectorAll(".leaflet-pane canvas, .leaflet-pane svg")].map((one) => {
    const at = one.getBoundingClientRect();
    const place = `translate(${at.left - within.left} ${at.top - within.top})`;
    if (one.tagName === "CANVAS") {
      return `<image transform="${place}" width="${at.width}" height="${at.height}" href="${one.toDataURL()}"/>`;
    }
    const [left, top, width, height] = one.getAttribute("viewBox").split(" ");
    return `<svg x="${at.left - within.left}" y="${at.top - within.top}" width="${width}" height="${height}" viewBox="${left} ${top} ${width} ${height}">${inlined(one)}</svg>`;
  });
  const text = (x, y, said, size = 13) =>
    `<text x="${x}" y="${y}" font-family="sans-serif" font-size="${size}" fill="${css.getPropertyValue("--ink").trim()}">${said.replace(/[&<>]/g, (one) => `&#${one.charCodeAt(0)};`)}</text>`;
  let line = within.height + 22;
  const scales = [...document.querySelectorAll(".legend .scale")].flatMap((scale) => {
    const title = text(6, line, scale.querySelector(".scale-name").textContent);
    const first = line + 20;
    const steps = [...scale.querySelectorAll("li")].map((one, at) => {
      const fill = getComputedStyle(one.querySelector("i")).backgroundColor;
      const [x, y] = [12 + (at % 3) * (within.width / 3), first + 20 * Math.floor(at / 3)];
      return `<circle cx="${x}" cy="${y - 4}" r="6" fill="${fill}" stroke="#555"/>${text(x + 12, y, one.textContent.trim())}`;
    });
    line = first + 20 * Math.ceil(steps.length / 3);
    return [title, ...steps];
  });
  const sources = frame.querySelector(".leaflet-control-attribution")?.textContent ?? "";
  const about = document.getElementById("summary")?.textContent ?? "";
  const [width, height] = [within.width, line + 62];
  const body = [
    `<rect y="-30" width="${width}" height="${height}" fill="${css.getPropertyValue("--panel").trim()}"/>`,
    `<svg width="${width}" height="${within.height}"><rect width="100%" height="100%" fill="${css.getPropertyValue("--map").trim()}"/>${layers.join("")}</svg>`,
    text(8, -9, name, 16),
    ...scales,
    text(6, line + 4, about, 11),
    text(6, line + 20, sources, 11),
  ];
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 -30 ${width} ${height}">`;
  return { text: `${head}${body.join("")}</svg>`, width, height };
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
