"use strict";
// The page: where everything lies, and what a hand does with it.

const SECTION = 22;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let run = null, hits = [], sections = [], pending = 0, ratio = 1;

const at = (id) => document.getElementById(id);

/** What lies below what, and how tall it is. */
function lay() {
  const nodes = run.lanes.length, clients = run.clients;
  const faults = run.bands.length ? faultRows(run) * ROW : 0;
  const all = [
    ["faults", faults, (ink, top) => drawFaults(ink, run, top, hits)],
    ["recovery", run.recoveries.length ? 14 : 0, (ink, top) => drawRecoveries(ink, run, top, hits)],
    ["nodes: role and term", nodes * (LANE + GAP), (ink, top) => drawLanes(ink, run, top + GAP / 2, hits)],
    ["messages", nodes ? 24 + (nodes - 1) * SPACE + 12 : 0, (ink, top, height) => drawMessages(ink, run, top, height, hits)],
    ["log: committed (full), applied (dashed)", nodes ? 110 : 0, (ink, top, height) => drawLog(ink, run, top, height, hits)],
    ["operations", clients.length ? clients.count * opRow(clients) + 4 : 0, (ink, top) => drawOperations(ink, run, top, hits)],
    ["operations a second", clients.length ? 64 : 0, (ink, top, height) => drawThroughput(ink, run, top, height, hits)],
    ["latency: p50 (full), p99 (dashed)", clients.length ? 110 : 0, (ink, top, height) => drawLatency(ink, run, top, height, hits)],
  ];
  let top = 32;
  sections = all.filter(([, height]) => height > 0).map(([name, height, draw]) => {
    const section = { name, top: top + SECTION, height, draw };
    top += SECTION + height + 8;
    return section;
  });
  return top;
}

/** A canvas as sharp as the screen, or as paper. */
function pen(canvas, width, height) {
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const ink = canvas.getContext("2d");
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.font = FONT;
  ink.fillStyle = COLOUR.paper;
  ink.fillRect(0, 0, width, height);
  return ink;
}

function draw() {
  pending = 0;
  const canvas = at("picture");
  view.width = canvas.clientWidth || 900;
  const height = lay();
  const ink = pen(canvas, view.width, height);
  hits = [];
  drawAxis(ink, height);
  for (const { name, top, height, draw } of sections) {
    write(ink, name, MARGIN.left, top - 10, { colour: COLOUR.quiet });
    ink.save();
    draw(ink, top, height);
    ink.restore();
  }
  drawOver(ink, height);
  drawOverview();
  at("range").value = `${seconds(view.from)} to ${seconds(view.to)}, ${howLong(view.to - view.from)}`;
}

function redraw() {
  if (!pending) pending = requestAnimationFrame(draw);
}

function drawAxis(ink, height) {
  const { all, digits } = ticks();
  for (const tick of all) {
    const x = view.x(tick);
    stroke(ink, COLOUR.grid, 1, [[x, 18], [x, height]]);
    write(ink, seconds(tick, digits), x, 10, { align: "center", colour: COLOUR.quiet });
  }
  let named = 0;
  for (const [from, name] of run.phases) {
    if (!view.sees(from, from)) continue;
    const x = view.x(from);
    stroke(ink, COLOUR.ink, 1, [[x, 18], [x, height]], [1, 3]);
    if (x > named) write(ink, name, x + 3, 25, { colour: COLOUR.ink });
    named = Math.max(named, x + 12 + ink.measureText(name).width);
  }
}

/** What lies over everything: when something broke, and where the pointer is. */
function drawOver(ink, height) {
  for (const [i, [when, , what]] of run.broken.entries()) {
    if (!view.sees(when, when)) continue;
    const x = view.x(when);
    // The first is where to look; what follows mostly comes of it.
    if (i === 0) stroke(ink, COLOUR.red, 2, [[x, 18], [x, height]]);
    sign(ink, "down", x, 20, 5, COLOUR.red);
    hits.push({ x: x - 6, y: 12, width: 12, height: 16, tip: () => `${seconds(when)} ${what}`, pick: () => showDetails("Broken", element("p", what)) });
  }
  if (view.cursor === null) return;
  const x = view.x(view.cursor);
  stroke(ink, COLOUR.quiet, 1, [[x, 18], [x, height]], [2, 3]);
  halo(ink, seconds(view.cursor, 4), x + 4, 10, 90);
  if (view.marked) {
    const from = view.x(view.marked);
    ink.fillStyle = COLOUR.blue;
    ink.globalAlpha = 0.15;
    ink.fillRect(Math.min(from, x), 0, Math.abs(x - from), height);
    ink.globalAlpha = 1;
  }
}

/** The whole run, and which part of it is in sight. */
function drawOverview() {
  const canvas = at("overview"), height = 54, width = view.width;
  const ink = pen(canvas, width, height);
  const x = (when) => MARGIN.left + (when / view.end) * view.inner;
  const ops = run.clients, columns = new Array(Math.ceil(view.inner)).fill(0);
  for (let i = 0; i < ops.length; i++) {
    if (ops.end[i] === 0) columns[Math.min(columns.length - 1, Math.floor(((ops.began[i] + ops.took[i]) / view.end) * view.inner))]++;
  }
  const smooth = columns.map((_, i) => columns.slice(Math.max(0, i - 3), i + 4).reduce((a, b) => a + b) / 7);
  const most = Math.max(1, ...smooth);
  write(ink, "whole run", 10, 12, { colour: COLOUR.quiet });
  ink.fillStyle = COLOUR.sky;
  smooth.forEach((count, i) => ink.fillRect(MARGIN.left + i, 36 - (count / most) * 30, 1, (count / most) * 30));
  for (const band of run.bands) {
    ink.fillStyle = COLOUR.red;
    ink.fillRect(x(band.at), 40, Math.max(2, x(band.to) - x(band.at)), 4);
  }
  for (const lane of run.lanes) {
    for (const span of lane.spans.filter(({ role }) => role === "leader")) {
      ink.fillStyle = COLOUR.green;
      ink.fillRect(x(span.at), 46, Math.max(1, x(span.to) - x(span.at)), 3);
    }
  }
  for (const [when] of run.broken.slice(0, 1)) sign(ink, "down", x(when), 5, 5, COLOUR.red);
  ink.strokeStyle = COLOUR.ink;
  ink.lineWidth = 1.5;
  ink.strokeRect(x(view.from), 1, Math.max(3, x(view.to) - x(view.from)), height - 3);
}

/** Goes there in a short while, or at once where motion is not wanted. */
function glide(from, to) {
  const [startFrom, startTo] = [view.from, view.to];
  view.look(from, to);
  const [endFrom, endTo] = [view.from, view.to];
  if (calm.matches) { redraw(); return; }
  const began = performance.now();
  const step = (now) => {
    const share = Math.min(1, (now - began) / 180), eased = share * (2 - share);
    view.from = startFrom + (endFrom - startFrom) * eased;
    view.to = startTo + (endTo - startTo) * eased;
    draw();
    if (share < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function lookAt(when) {
  const wide = Math.min(view.to - view.from, 400_000);
  glide(when - wide / 2, when + wide / 2);
}

function choose(i) {
  view.operation = i;
  showOperation(run, i);
  redraw();
}

/** The next operation that is shown, or the one before. */
function chooseNext(by) {
  const ops = run.clients;
  let i = view.operation === null ? place(ops.began, view.from) - (by > 0 ? 1 : 0) : view.operation;
  do i += by; while (i >= 0 && i < ops.length && !opIsShown(ops, i));
  if (i < 0 || i >= ops.length) return;
  choose(i);
  if (!view.sees(ops.began[i], ops.began[i])) lookAt(ops.began[i]);
}

function showTrouble() {
  if (!run.focus) return;
  glide(...run.focus);
  const [first] = run.accused;
  if (first !== undefined && run.clients.began[first] >= run.focus[0] && run.clients.began[first] <= run.focus[1]) choose(first);
}

function letGo() {
  view.operation = view.message = null;
  showNothing();
  redraw();
}

/** What lies under the pointer: what was drawn last, and what is small before what is large. */
function under(x, y) {
  let weak = null;
  for (let i = hits.length - 1; i >= 0; i--) {
    const hit = hits[i];
    if (hit.line ? isNear(hit.line, x, y) : x >= hit.x && x <= hit.x + hit.width && y >= hit.y && y <= hit.y + hit.height) {
      if (!hit.weak) return hit;
      weak ??= hit;
    }
  }
  return weak;
}

function isNear([[ax, ay], [bx, by]], x, y) {
  const [dx, dy] = [bx - ax, by - ay];
  const share = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - ax - share * dx, y - ay - share * dy) < 5;
}

function listenToPointer(canvas) {
  let held = null;
  const tip = at("tip");
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.offsetX, from: view.from, moved: false, mark: event.shiftKey };
    if (held.mark) view.marked = view.at(event.offsetX);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    view.cursor = event.offsetX >= MARGIN.left ? Math.min(Math.max(view.at(event.offsetX), view.from), view.to) : null;
    if (held && !held.mark) {
      const by = held.x - event.offsetX;
      held.moved ||= Math.abs(by) > 3;
      const length = view.to - view.from;
      if (held.moved) view.look(held.from + (by / view.inner) * length, held.from + (by / view.inner) * length + length);
    }
    const hit = held ? null : under(event.offsetX, event.offsetY);
    tip.hidden = !hit;
    if (hit) {
      tip.textContent = hit.tip(view.at(event.offsetX));
      const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - tip.offsetWidth - 10 : event.clientX + 14;
      const top = event.clientY + 16 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 16;
      Object.assign(tip.style, { left: `${Math.max(0, left)}px`, top: `${Math.max(0, top)}px` });
    }
    canvas.style.cursor = hit?.pick ? "pointer" : "";
    redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const was = held;
    held = null;
    if (was?.mark) {
      const [from, to] = [view.marked, view.at(event.offsetX)].sort((a, b) => a - b);
      view.marked = null;
      if (to - from > SHORTEST) glide(from, to);
    } else if (was && !was.moved) {
      under(event.offsetX, event.offsetY)?.pick?.(view.at(event.offsetX));
    }
  });
  canvas.addEventListener("pointerleave", () => { view.cursor = null; tip.hidden = true; redraw(); });
  canvas.addEventListener("dblclick", (event) => { view.zoom(0.4, view.at(event.offsetX)); redraw(); });
  canvas.addEventListener("wheel", (event) => {
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) view.move(event.deltaX / view.inner);
    else if (event.ctrlKey || event.metaKey) view.zoom(Math.exp(event.deltaY * 0.0025), view.at(event.offsetX));
    else return;
    event.preventDefault();
    redraw();
  }, { passive: false });
}

function listenToOverview(canvas) {
  const go = (event) => {
    if (!event.buttons) return;
    const when = ((event.offsetX - MARGIN.left) / view.inner) * view.end, half = (view.to - view.from) / 2;
    view.look(when - half, when + half);
    redraw();
  };
  canvas.addEventListener("pointerdown", go);
  canvas.addEventListener("pointermove", go);
}

const KEYS = {
  "+": () => view.zoom(0.6, (view.from + view.to) / 2), "=": () => view.zoom(0.6, (view.from + view.to) / 2),
  "-": () => view.zoom(1 / 0.6, (view.from + view.to) / 2),
  ArrowLeft: () => view.move(-0.2), ArrowRight: () => view.move(0.2),
  0: () => glide(0, view.end), v: showTrouble, n: () => chooseNext(1), p: () => chooseNext(-1), Escape: letGo,
  "?": () => { at("keys").hidden = !at("keys").hidden; },
};

function listen() {
  listenToPointer(at("picture"));
  listenToOverview(at("overview"));
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") event.target.closest("[data-row], [data-at]")?.click();
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    redraw();
  });
  for (const [id, key] of [["in", "+"], ["out", "-"], ["all", "0"], ["trouble", "v"], ["help", "?"]]) {
    at(id).addEventListener("click", () => { KEYS[key](); redraw(); });
  }
  for (const id of ["key", "node", "client", "kind"]) at(id).addEventListener("change", () => { view[id] = at(id).value; redraw(); });
  for (const row of document.querySelectorAll("[data-row]")) row.addEventListener("click", () => follow(Number(row.dataset.row)));
  for (const item of document.querySelectorAll("[data-at]")) item.addEventListener("click", () => { lookAt(Number(item.dataset.at)); at("picture").scrollIntoView({ block: "nearest" }); });
  addEventListener("resize", redraw);
  const print = (sharp) => () => { ratio = sharp ? 2.5 : devicePixelRatio || 1; draw(); };
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));
}

/** Shows an operation that stands in a table above. */
function follow(i) {
  const ops = run.clients, took = ops.took[i] ?? 0;
  glide(ops.began[i] - 60_000, ops.began[i] + Math.min(took, 300_000) + 60_000);
  choose(i);
  at("picture").scrollIntoView({ block: "nearest" });
}

function fill(id, options) {
  for (const [value, name] of options) at(id).append(element("option", name, { value }));
}

/** What the address names, as in report.html#3.0..4.5 in seconds as the story counts; else the whole run. */
function sighted() {
  const named = /^#(-?[\d.]+)\.\.(-?[\d.]+)$/.exec(location.hash);
  const at = (seconds) => run.origin + Number(seconds) * 1e6;
  return named && at(named[2]) > at(named[1]) ? [at(named[1]), at(named[2])] : [0, view.end];
}

/** The legend has the strokes of the picture. */
function drawLegend() {
  for (const canvas of document.querySelectorAll(".swatch")) {
    const ink = pen(canvas, 44, 20), { role, end, fault, message } = canvas.dataset;
    canvas.style.width = "44px";
    if (role) block(ink, role, 0, 0, 44, 20);
    else if (end === "accused") { bar(ink, 0, true, 6, 8, 32, 9); ink.strokeStyle = COLOUR.red; ink.lineWidth = 2.5; ink.strokeRect(4, 6, 36, 13); sign(ink, "down", 22, 3, 3.5, COLOUR.red); }
    else if (end === "2") stroke(ink, END[2].colour, 5, [[2, 10], [42, 10]], [5, 3]);
    else if (end) { bar(ink, Number(end), false, 2, 5, 32, 10); if (end === "1") sign(ink, "cross", 34, 10, 3, COLOUR.ink); }
    else if (fault) { ink.fillStyle = "#fdeee4"; ink.fillRect(0, 0, 44, 20); ink.fillStyle = hatch(ink, COLOUR.red, -1); ink.fillRect(0, 0, 44, 20); }
    else drawLegendMessage(ink, message);
  }
}

function drawLegendMessage(ink, message) {
  const colour = { lost: COLOUR.red, odd: COLOUR.blue, reply: COLOUR.sky }[message] ?? MESSAGE[message];
  const to = message === "lost" ? [24, 10] : [40, 17];
  stroke(ink, colour, 1.6, [[4, 3], to], message === "reply" ? [4, 3] : []);
  if (message === "lost") sign(ink, "cross", 24, 10, 4, COLOUR.red); else arrow(ink, [4, 3], to, colour);
  if (message === "odd") sign(ink, "diamond", 22, 10, 3.2, COLOUR.red);
}

async function main() {
  run = await readRun();
  Object.assign(view, { origin: run.origin, end: Math.max(1, run.end) });
  view.look(...sighted());
  ratio = devicePixelRatio || 1;
  fill("key", run.clients.keys.map((key) => [key, key]));
  fill("node", run.lanes.map(({ node }) => [node, `n${node}`]));
  fill("client", Array.from({ length: run.clients.length ? run.clients.count : 0 }, (_, i) => [i, i]));
  at("trouble").hidden = !run.focus;
  showNothing();
  drawLegend();
  listen();
  draw();
  document.body.dataset.ready = "yes";
}

main();
