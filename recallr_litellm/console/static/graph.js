// The graph of a user's memory: nodes by kind, edges below them, a slider over time, a click to the source.
"use strict";

const box = document.getElementById("graph");
if (box) {
  const { nodes, edges } = JSON.parse(box.dataset.graph);
  const names = JSON.parse(box.dataset.names);
  const styles = getComputedStyle(document.documentElement);
  const tint = (name) => styles.getPropertyValue(name).trim();
  const colours = { memory: tint("--link"), entity: tint("--good"), session: tint("--quiet") };
  const labelled = new Set(
    nodes.map((node, place) => place).sort((a, b) => nodes[b].size - nodes[a].size).slice(0, nodes.length > 60 ? 25 : 60)
      .filter((place) => nodes[place].kind === "entity" || nodes.length <= 60),
  );

  const traces = (until) => {
    const lines = { x: [], y: [] };
    for (const [a, b] of edges) {
      if (nodes[a].at <= until && nodes[b].at <= until) {
        lines.x.push(nodes[a].x, nodes[b].x, null);
        lines.y.push(nodes[a].y, nodes[b].y, null);
      }
    }
    const drawn = [{ ...lines, type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: tint("--line"), width: 0.6 } }];
    for (const kind of ["session", "memory", "entity"]) {
      const places = nodes.map((node, place) => place).filter((place) => nodes[place].kind === kind && nodes[place].at <= until);
      drawn.push({
        type: "scatter",
        mode: "markers+text",
        name: names[kind],
        x: places.map((place) => nodes[place].x),
        y: places.map((place) => nodes[place].y),
        text: places.map((place) => (labelled.has(place) ? nodes[place].label.slice(0, 30) : "")),
        hovertext: places.map((place) => nodes[place].label),
        hoverinfo: "text",
        customdata: places,
        textposition: "top center",
        marker: { color: colours[kind], size: places.map((place) => 7 + 3 * Math.min(6, Math.sqrt(nodes[place].size))) },
      });
    }
    return drawn;
  };

  // Texts of users go into Plotly as text, which reads some tags: the characters of tags are put apart.
  for (const node of nodes) node.label = node.label.replaceAll("<", "‹").replaceAll(">", "›");
  const layout = {
    margin: { l: 0, r: 0, t: 30, b: 0 },
    font: { color: tint("--text") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: { visible: false },
    yaxis: { visible: false, scaleanchor: "x" },
    legend: { orientation: "h", y: 1.05 },
    dragmode: "pan",
    uirevision: "same",
  };
  const times = nodes.map((node) => node.at).sort((a, b) => a - b);
  const last = times[times.length - 1];
  Plotly.newPlot(box, traces(last), layout, { responsive: true, scrollZoom: true, displayModeBar: false }).then(() => {
    box.on("plotly_click", (event) => {
      const place = event.points[0].customdata;
      if (place !== undefined) location.href = nodes[place].url;
    });
  });

  const slider = document.querySelector(".slider");
  const [input, output] = [slider.querySelector("input"), slider.querySelector("output")];
  const show = () => {
    // by rank, not by time: a slider over years would jump over the days on which something was said
    const until = times[Math.round((input.value / 100) * (times.length - 1))];
    output.textContent = new Date(until).toLocaleDateString(undefined, { dateStyle: "medium" });
    Plotly.react(box, traces(until), layout);
  };
  input.addEventListener("input", show);
  output.textContent = new Date(last).toLocaleDateString(undefined, { dateStyle: "medium" });
  slider.hidden = false;
}
