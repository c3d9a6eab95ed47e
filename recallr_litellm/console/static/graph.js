// The picture of a user's memory: islands of nodes, a slider over time, what surrounds a node, a way to its source.
// What is chosen stands in the address, so that it can be sent to a colleague.
"use strict";

const map = document.querySelector(".map");
if (map) painted.then(() => open(map));

async function open(map) {
  const urls = JSON.parse(map.dataset.urls), texts = JSON.parse(map.dataset.texts);
  const status = map.querySelector("[role=status]");
  try {
    const [answer] = await Promise.all([fetch(urls.data), library(map.dataset.plotly)]);
    if (answer.redirected) return location.reload(); // the visit is over: to the login, and back here
    if (!answer.ok) throw new Error(`the data could not be read: ${answer.status}`);
    const data = await answer.json();
    status.textContent = "";
    if (data.total > data.memories) status.textContent = filled(texts.part, data.memories, data.total);
    if (data.nodes.length) new Picture(map, data, urls, texts).begin();
    else status.textContent = texts.empty;
  } catch (error) {
    status.textContent = texts.failed;
    throw error;
  }
}

const filled = (text, ...values) => values.reduce((so_far, value) => so_far.replace("%s", value), text);
const day = (at) => new Date(at).toLocaleDateString(undefined, { dateStyle: "medium" });
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
// Plotly reads some tags in texts: the characters of tags are put apart.
const plain = (text) => text.replaceAll("<", "‹").replaceAll(">", "›");
const KINDS = ["session", "memory", "entity"];
const SYMBOLS = { session: "square", memory: "circle", entity: "circle" };

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

class Picture {
  constructor(map, data, urls, texts) {
    Object.assign(this, { map, urls, texts, nodes: data.nodes, edges: data.edges });
    this.box = map.querySelector(".graph");
    this.tools = map.querySelector(".map-tools");
    this.panel = map.querySelector(".map-chosen");
    this.near = this.nodes.map(() => []);
    for (const [a, b] of this.edges) {
      this.near[a].push(b);
      this.near[b].push(a);
    }
    for (const node of this.nodes) node.name = node.label || `${texts.unnamed} ${day(node.at)}`;
    this.ranked = this.nodes.map((_, n) => n).sort((a, b) => this.near[b].length - this.near[a].length || a - b);
    this.entities = this.ranked.filter((n) => this.nodes[n].kind === "entity");
    this.times = [...new Set(this.nodes.map((node) => node.at))].sort((a, b) => a - b);
    this.pen = document.createElement("canvas").getContext("2d");
    this.pen.font = "12px system-ui, sans-serif";
  }

  begin() {
    const asked = new URLSearchParams(location.search), { find, until } = this.tools.elements;
    until.max = this.times.length - 1;
    until.value = asked.has("until") ? this.times.filter((at) => at <= Number(asked.get("until"))).length - 1 : until.max;
    find.value = asked.get("find") ?? "";
    for (const box of this.boxes()) {
      const number = this.nodes.filter((node) => node.kind === box.value).length;
      box.closest("label").querySelector(".count").textContent = `(${number})`;
      box.checked = !asked.has("kinds") || asked.get("kinds").split(" ").includes(box.value);
    }
    const chosen = this.nodes.findIndex((node) => node.id === asked.get("chosen"));
    this.chosen = chosen < 0 ? null : chosen;

    this.tools.hidden = this.map.querySelector(".map-sides").hidden = false;
    this.stretch();
    this.tools.addEventListener("submit", (event) => event.preventDefault());
    this.tools.addEventListener("input", (event) => {
      if (event.target === find) this.chosen = null;
      this.changed();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.chosen !== null) this.choose(null);
    });
    for (const button of this.map.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.zoom(Number(button.dataset.zoom)));
    }
    new ResizeObserver(() => this.changed()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    this.changed();
  }

  /** Islands make a round picture: wide screens are filled by a wide one, narrow ones by a high one. */
  stretch() {
    const aspect = this.box.clientWidth / this.box.clientHeight;
    const [x, y] = [Math.max(1, Math.min(1.5, aspect)), Math.max(1, Math.min(1.5, 1 / aspect))];
    for (const node of this.nodes) Object.assign(node, { x: node.x * x, y: node.y * y });
  }

  boxes() {
    return this.tools.querySelectorAll("[name=kinds]");
  }

  /** Something was chosen, asked for or moved: draw at the next frame, once. */
  changed() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.look();
      this.draw();
      this.tell();
      this.remember();
    });
  }

  choose(node, focus = false) {
    this.chosen = node;
    if (node !== null && focus) {
      const { x, y } = this.nodes[node];
      const seen = this.view && Math.abs(x - this.view.x) < this.view.width / 2 && Math.abs(y - this.view.y) < this.height() / 2;
      if (!seen && this.view) Object.assign(this.view, { x, y });
      this.focus = true;
    }
    this.changed();
  }

  /** What is seen now: by time, by kind; and what of it stands out. */
  look() {
    const kinds = new Set([...this.boxes()].filter((box) => box.checked).map((box) => box.value));
    this.until = this.times[this.tools.elements.until.value];
    this.seen = this.nodes.map((node) => node.at <= this.until && kinds.has(node.kind));
    const wanted = this.tools.elements.find.value.trim().toLowerCase();
    this.found = wanted ? this.ranked.filter((n) => this.seen[n] && this.nodes[n].name.toLowerCase().includes(wanted)) : null;
    if (this.chosen !== null) this.lit = new Set([this.chosen, ...this.near[this.chosen]]);
    else this.lit = this.found ? new Set(this.found) : null;
  }

  height() {
    return (this.view.width * this.box.clientHeight) / this.box.clientWidth;
  }

  fit() {
    const [xs, ys] = [this.nodes.map((node) => node.x), this.nodes.map((node) => node.y)];
    const [left, right] = [Math.min(...xs), Math.max(...xs)], [low, high] = [Math.min(...ys), Math.max(...ys)];
    const across = ((high - low) * this.box.clientWidth) / this.box.clientHeight;
    this.view = { x: (left + right) / 2, y: (low + high) / 2, width: 1.08 * Math.max(right - left, across) + 2 };
  }

  zoom(factor) {
    if (factor) this.view.width *= factor;
    else this.fit();
    this.changed();
  }

  draw() {
    if (!this.view) this.fit();
    const style = getComputedStyle(document.documentElement);
    const tint = (name) => style.getPropertyValue(name).trim();
    const colours = { memory: tint("--link"), entity: tint("--good"), session: tint("--quiet") };
    const scale = this.box.clientWidth / this.view.width; // pixels for a unit
    const small = Math.max(3, Math.min(11, scale * 0.45));
    const size = (n) => (this.nodes[n].kind === "entity" ? small * (1.3 + Math.min(1.7, Math.sqrt(this.near[n].length) / 5)) : small);
    const traces = this.lines(tint("--text"), tint("--link"));
    for (const kind of KINDS) {
      const places = this.ranked.filter((n) => this.seen[n] && this.nodes[n].kind === kind).reverse();
      const past = (n) => this.nodes[n].until && this.nodes[n].until <= this.until;
      traces.push({
        type: "scatter",
        mode: "markers",
        x: places.map((n) => this.nodes[n].x),
        y: places.map((n) => this.nodes[n].y),
        customdata: places,
        hovertext: places.map((n) => plain(cut(this.nodes[n].name, 90).replace(/(.{30}\S*) /g, "$1\n")).replaceAll("\n", "<br>")),
        hoverinfo: "text",
        marker: {
          color: colours[kind],
          symbol: places.map((n) => SYMBOLS[kind] + (past(n) ? "-open" : "")),
          size: places.map((n) => size(n) + (n === this.chosen ? 5 : 0)),
          opacity: places.map((n) => (!this.lit || this.lit.has(n) ? 1 : 0.15)),
          line: { width: 1, color: tint("--ground") },
        },
      });
    }
    traces.push(this.labels(scale, size, tint("--text")));
    const axis = { visible: false, showgrid: false, zeroline: false };
    const half = [this.view.width / 2, this.height() / 2];
    const layout = {
      autosize: true,
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: "closest",
      hoverlabel: { bgcolor: tint("--raised"), bordercolor: tint("--line"), font: { color: tint("--text") }, align: "left" },
      dragmode: "pan",
      xaxis: { ...axis, range: [this.view.x - half[0], this.view.x + half[0]] },
      yaxis: { ...axis, range: [this.view.y - half[1], this.view.y + half[1]] },
    };
    const listening = this.box.on;
    Plotly.react(this.box, traces, layout, { responsive: true, scrollZoom: true, displayModeBar: false, doubleClick: false });
    if (!listening) this.listen();
  }

  listen() {
    this.box.on("plotly_click", (event) => {
      const node = event.points[0].customdata;
      if (node !== undefined) this.choose(node === this.chosen ? null : node);
    });
    this.box.on("plotly_relayout", () => {
      const [[left, right], [low, high]] = [this.box.layout.xaxis.range, this.box.layout.yaxis.range];
      this.view = { x: (left + right) / 2, y: (low + high) / 2, width: right - left };
      this.changed();
    });
  }

  /** Edges: those within islands, those between islands, the fainter the more they are, and those of what is chosen. */
  lines(faint, strong) {
    const [within, between, chosen] = [1, 2, 3].map(() => ({ x: [], y: [] }));
    for (const [a, b] of this.edges) {
      if (!this.seen[a] || !this.seen[b]) continue;
      const [from, to] = [this.nodes[a], this.nodes[b]];
      const all = from.island === to.island ? within : between;
      const one = a === this.chosen || b === this.chosen ? chosen : all;
      one.x.push(from.x, to.x, null);
      one.y.push(from.y, to.y, null);
    }
    const line = { type: "scatter", mode: "lines", hoverinfo: "skip" };
    const dimmed = this.lit ? 0.4 : 1;
    const opacity = Math.max(0.06, Math.min(0.4, 30 / this.edges.length)) * dimmed;
    return [
      { ...line, ...between, opacity, line: { color: faint, width: 1 } },
      { ...line, ...within, opacity: 0.45 * dimmed, line: { color: faint, width: 1 } },
      { ...line, ...chosen, opacity: 0.9, line: { color: strong, width: 1.3 } },
    ];
  }

  /** Names where there is room, of what is connected with most first. */
  labels(scale, size, colour) {
    const { x: middle, y: centre, width } = this.view, height = this.height();
    const taken = [], placed = { x: [], y: [], text: [] };
    // what each memory says only where few are seen: who and what they speak of tells more of many
    const wanted = this.lit ? this.ranked.filter((n) => this.lit.has(n)) : scale > 45 ? this.ranked : [];
    for (const n of new Set([...(this.chosen === null ? [] : [this.chosen]), ...(this.lit ? wanted : [...this.entities, ...wanted])])) {
      const node = this.nodes[n];
      if (!this.seen[n] || Math.abs(node.x - middle) > width / 2 || Math.abs(node.y - centre) > height / 2) continue;
      const text = cut(node.name, 28), half = this.pen.measureText(text).width / 2 + 3;
      const [x, y] = [node.x * scale, node.y * scale + size(n) / 2 + 8];
      const box = [x - half, x + half, y - 7, y + 7];
      if (Math.abs(x - middle * scale) + half > this.box.clientWidth / 2) continue;
      if (taken.some(([l, r, b, t]) => box[0] < r && box[1] > l && box[2] < t && box[3] > b)) continue;
      taken.push(box);
      placed.x.push(x / scale);
      placed.y.push(y / scale);
      placed.text.push(plain(text));
      if (taken.length > 150) break;
    }
    return { ...placed, type: "scatter", mode: "text", hoverinfo: "skip", textfont: { size: 12, color: colour } };
  }

  /** In words: what is chosen and what it is connected with, or what was found, or what is connected with most. */
  tell() {
    const { texts, nodes } = this;
    this.panel.replaceChildren();
    const heading = element("h2", { tabIndex: -1 });
    this.panel.append(heading);
    if (this.chosen !== null) {
      const node = nodes[this.chosen];
      heading.textContent = node.name;
      this.panel.append(element("p", { className: "hint", textContent: `${texts.one[node.kind]}, ${texts.since} ${day(node.at)}` }));
      if (node.until) this.panel.append(element("p", { className: "hint", textContent: `${texts.past} ${day(node.until)}` }));
      const source = element("a", { href: this.urls[node.kind] + node.id, textContent: texts.open[node.kind] });
      const back = element("button", { type: "button", textContent: texts.let_go });
      back.addEventListener("click", () => this.choose(null));
      this.panel.append(element("p", { className: "spans" }, source, back));
      const near = this.ranked.filter((n) => this.seen[n] && this.lit.has(n) && n !== this.chosen);
      this.list(near, 30, element("h3", { textContent: `${texts.connected} (${near.length})` }));
    } else if (this.found) {
      heading.textContent = `${texts.found} (${this.found.length})`;
      this.list(this.found, 30);
    } else {
      heading.textContent = texts.most;
      this.list((this.entities.length ? this.entities : this.ranked).filter((n) => this.seen[n]), 12);
    }
    if (this.focus) heading.focus();
    this.focus = false;
  }

  list(found, most, ...before) {
    const rows = found.slice(0, most).map((n) => {
      const button = element("button", { type: "button", textContent: this.nodes[n].name });
      button.addEventListener("click", () => this.choose(n, true));
      return element("li", { className: `kind-${this.nodes[n].kind}` }, button);
    });
    this.panel.append(...before, element("ul", {}, ...rows));
    if (found.length > most) {
      this.panel.append(element("p", { className: "hint", textContent: filled(this.texts.more, found.length - most) }));
    }
  }

  remember() {
    const query = new URLSearchParams(location.search), { find, until } = this.tools.elements;
    const kinds = [...this.boxes()].filter((box) => box.checked).map((box) => box.value);
    const now = {
      chosen: this.chosen === null ? "" : this.nodes[this.chosen].id,
      find: find.value,
      until: until.value === until.max ? "" : this.until,
      kinds: kinds.length === KINDS.length ? "" : kinds.join(" "),
    };
    for (const [name, value] of Object.entries(now)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    history.replaceState(null, "", `?${query}`);
    const output = this.tools.querySelector("output");
    output.textContent = day(this.until);
    until.setAttribute("aria-valuetext", output.textContent);
  }
}
