const SVG = "http://www.w3.org/2000/svg";

function number(node, value, unit) {
  if (value === null) { text(node, "–"); return; }
  if (!unit) { text(node, value); return; }
  if (node.dataset.value === value && node.children.length) return;
  node.dataset.value = value;
  const small = document.createElement("small");
  small.textContent = " " + unit;
  node.replaceChildren(value, small);
}

function shape(svg, kind, attributes) {
  const node = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  svg.append(node);
}

function line(svg, values, room) {
  const most = Math.max(1e-9, ...values.filter((value) => value !== null)) * room;
  const runs = [];
  let run = null;
  values.forEach((value, place) => {
    if (value === null) { run = null; return; }
    if (!run) runs.push(run = []);
    run.push([POINTS - values.length + place + 1, 35 - 34 * value / most]);
  });
  svg.replaceChildren();
  shape(svg, "line", {class: "base", x1: 0, y1: 35.5, x2: 120, y2: 35.5});
  for (const points of runs) {
    if (points.length < 2) continue;
    const path = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(2)}`).join(" ");
    shape(svg, "polygon", {class: "area", points: `${points[0][0]},35 ${path} ${points[points.length - 1][0]},35`});
    shape(svg, "polyline", {class: "line", points: path});
  }
}

function bars(svg, history) {
  const most = Math.max(4, ...history.map((one) => one.lost + one.skipped));
  svg.replaceChildren();
  shape(svg, "line", {class: "base", x1: 0, y1: 35.5, x2: 120, y2: 35.5});
  history.forEach((one, place) => {
    const x = POINTS - history.length + place + .1, high = 34 * one.lost / most, low = 34 * one.skipped / most;
    if (high) shape(svg, "rect", {class: "lost", x, y: 35 - high, width: .8, height: high});
    if (low) shape(svg, "rect", {class: "skipped", x, y: 35 - high - low, width: .8, height: low});
  });
}
