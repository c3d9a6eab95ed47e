// Times in the viewer's timezone, and plots. Every page works without it.
"use strict";

for (const time of document.querySelectorAll("time")) {
  const moment = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// What scrolls by itself is reached by keyboard.
for (const box of document.querySelectorAll(".wide, .text")) {
  if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
}

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();

for (const plot of document.querySelectorAll("[data-plot]")) {
  const traces = JSON.parse(plot.dataset.plot);
  const layout = {
    barmode: "stack",
    margin: { l: 50, r: 20, t: 30, b: 40 },
    font: { color: colour("--text") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: { gridcolor: colour("--line") },
    yaxis: { gridcolor: colour("--line"), rangemode: "tozero" },
    legend: { orientation: "h", y: 1.15 },
  };
  for (const trace of traces) {
    // plotly shows times as they are written: those of the viewer
    trace.x = trace.x.map((at) => new Date(new Date(at) - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 19));
  }
  Plotly.newPlot(plot, traces, layout, { responsive: true, displayModeBar: false });
}
