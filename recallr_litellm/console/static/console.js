// Times in the viewer's timezone, tables and long texts for small screens, and plots. Every page works without it.
"use strict";

for (const time of document.querySelectorAll("time")) {
  const moment = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

document.cookie = `recallr_console_timezone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/recallr/console; samesite=strict; max-age=31536000`;

// On a phone a row is a card: each cell says of which column it is. The roles stay those of a table.
for (const table of document.querySelectorAll("main table:has(thead)")) {
  const columns = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  table.classList.add("stacked");
  table.setAttribute("role", "table");
  for (const group of [table.tHead, ...table.tBodies]) group.setAttribute("role", "rowgroup");
  for (const row of table.rows) row.setAttribute("role", "row");
  for (const cell of table.tHead.rows[0].cells) cell.setAttribute("role", "columnheader");
  for (const body of table.tBodies) {
    for (const row of body.rows) {
      [...row.cells].forEach((cell, column) => {
        cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
        cell.dataset.label = columns[column] ?? "";
      });
    }
  }
}

// A long text is cut, with a button for the rest. What still scrolls by itself is reached by keyboard.
for (const one of document.querySelectorAll("dd, td, legend, .who, .fault")) {
  if (one.textContent.length < 500 || one.querySelector("a, form, table, details, ol, ul, pre, .text") || one.matches(".text")) continue;
  const text = document.createElement("div");
  text.className = "text brief";
  text.append(...one.childNodes);
  one.append(text);
}
for (const text of document.querySelectorAll(".text, pre")) {
  if (text.scrollHeight <= text.clientHeight + 1) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  const show = (whole) => {
    text.classList.toggle("whole", whole);
    button.setAttribute("aria-expanded", whole);
    button.textContent = whole ? document.body.dataset.less : document.body.dataset.more;
  };
  button.addEventListener("click", () => show(!text.classList.contains("whole")));
  show(false);
  text.after(button);
}
for (const box of document.querySelectorAll(".wide, .text, pre")) {
  if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
}

/** Once the page is painted: the script that draws is of megabytes. */
const painted = new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));

function library(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: address, onload: resolve, onerror: () => reject(new Error(`no ${address}`)) });
    document.head.append(script);
  });
}

const plots = document.querySelectorAll("[data-plot]");
if (plots.length) {
  painted.then(() => library(plots[0].dataset.plotly)).then(() => Promise.all([...plots].map(draw))).catch((error) => {
    for (const plot of plots) plot.textContent = plot.dataset.failed;
    throw error;
  });
}

const ofStatus = { ok: "--good", empty: "--accent", degraded: "--warn", off: "--quiet" };

function draw(plot) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const traces = JSON.parse(plot.dataset.plot);
  const layout = {
    barmode: "stack",
    colorway: ["--accent", "--good", "--warn", "--bad", "--quiet"].map(colour),
    margin: { l: 50, r: 20, t: 30, b: 40 },
    font: { color: colour("--quiet"), family: getComputedStyle(document.body).fontFamily },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: { gridcolor: colour("--line"), showgrid: false },
    yaxis: { gridcolor: colour("--line"), rangemode: "tozero" },
    legend: { orientation: "h", y: 1.15 },
  };
  for (const trace of traces) {
    if (ofStatus[trace.name]) trace.marker = { color: colour(ofStatus[trace.name]) };
    // plotly shows times as they are written: those of the viewer
    trace.x = trace.x.map((at) => new Date(new Date(at) - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 19));
  }
  return Plotly.newPlot(plot, traces, layout, { responsive: true, displayModeBar: false });
}
