"use strict";
// The nodes: faults that meet them, what they were when, and how far their logs were.

const LANE = 30, GAP = 9, ROW = 17;
const SIGN = {
  start: ["up", COLOUR.ink, "starts again"], down: ["cross", COLOUR.ink, "is gone"], vote: ["circle", COLOUR.orange, "votes"],
  snapshot: ["square", COLOUR.purple, "snapshot"], install: ["down", COLOUR.purple, "installs"], send: ["up", COLOUR.purple, "sends a snapshot"],
  truncate: ["cross", COLOUR.red, "drops entries"], member: ["diamond", COLOUR.blue, "membership"], damage: ["cross", COLOUR.red, "damage"],
  yield: ["down", COLOUR.ink, "gives way"], transfer: ["diamond", COLOUR.green, "hands over"],
};

/** Faults that overlap are on rows of their own. */
function faultRows(run) {
  const ends = [];
  for (const band of run.bands) {
    const long = Math.max(band.to, band.at + run.end / 60);
    let row = ends.findIndex((end) => end <= band.at);
    if (row < 0) row = ends.length < 6 ? ends.length : ends.indexOf(Math.min(...ends));
    ends[row] = long;
    band.row = row;
  }
  return Math.max(1, ends.length);
}

function drawFaults(ink, run, top, hits) {
  for (const band of run.bands) {
    if (!view.sees(band.at, band.to) || !meetsNode(band.hits)) continue;
    const y = top + band.row * ROW, x = view.clip(view.x(band.at));
    const wide = Math.max(3, view.clip(view.x(band.to)) - x);
    ink.fillStyle = "#fbe3d3";
    ink.fillRect(x, y, wide, ROW - 3);
    ink.fillStyle = hatch(ink, COLOUR.red, -1);
    ink.globalAlpha = 0.5;
    ink.fillRect(x, y, wide, ROW - 3);
    ink.globalAlpha = 1;
    stroke(ink, COLOUR.red, 1.5, [[x, y], [x, y + ROW - 3]]);
    const next = run.bands.find((other) => other.row === band.row && other.at > band.at);
    const room = (next ? Math.min(view.x(next.at), view.width) : view.width) - x - 8;
    halo(ink, `${band.name}: ${band.does}`, x + 5, y + (ROW - 3) / 2, room);
    hits.push({ x, y, width: wide, height: ROW - 3, tip: () => tellFault(band), pick: () => showFault(run, band) });
  }
}

/** Text that can be read on a pattern. */
function halo(ink, text, x, y, room) {
  ink.save();
  ink.globalAlpha = 0.85;
  ink.fillStyle = COLOUR.paper;
  const wide = Math.min(ink.measureText(text).width, room);
  if (wide > 12) ink.fillRect(x - 2, y - 6, wide + 4, 12);
  ink.restore();
  write(ink, text, x, y, { room });
}

function meetsNode(nodes) {
  return view.node === "" || nodes.length === 0 || nodes.includes(Number(view.node));
}

function tellFault(band) {
  const until = band.lasts ? ` to ${band.until === null ? "the end" : seconds(band.until)}` : "";
  const links = band.links.map(([from, to]) => `n${from}→n${to}`).join(" ");
  return `${band.name}: ${band.does}\n${seconds(band.at)}${until}${links ? `\nlinks ${links}` : ""}`;
}

function laneTop(top, row) { return top + row * (LANE + GAP); }

function drawLanes(ink, run, top, hits) {
  const each = (what) => {
    for (const lane of run.lanes) {
      ink.globalAlpha = view.node === "" || Number(view.node) === lane.node ? 1 : 0.25;
      what(lane, laneTop(top, lane.row));
      ink.globalAlpha = 1;
    }
  };
  const spans = (lane) => lane.spans.filter((span) => view.sees(span.at, span.to));
  each((lane, y) => {
    write(ink, `n${lane.node}`, 10, y + LANE / 2);
    for (const span of spans(lane)) drawSpan(ink, lane, span, y, hits);
    stroke(ink, COLOUR.line, 1, [[MARGIN.left, y + LANE + 0.5], [view.width - MARGIN.right, y + LANE + 0.5]]);
  });
  drawBands(ink, run, top);
  each((lane, y) => {
    for (const span of spans(lane)) nameSpan(ink, span, y);
    drawMarks(ink, run, lane, y, hits);
  });
  drawLinks(ink, run, top);
  if (view.operation !== null) drawWay(ink, run, top);
}

function drawSpan(ink, lane, span, y, hits) {
  const x = view.clip(view.x(span.at)), wide = Math.max(view.clip(view.x(span.to)) - x, 1);
  block(ink, span.role, x, y, wide, LANE);
  hits.push({
    x, y, width: wide, height: LANE, weak: true, pick: (at) => showNode(lane, at),
    tip: (at) => `n${lane.node}: ${span.role === "down" ? "down" : `${span.role} in t${span.term}`}, ${seconds(span.at)} to ${seconds(span.to)}\n${tellLog(lane, at)}`,
  });
}

function nameSpan(ink, span, y) {
  const x = view.clip(view.x(span.at)), wide = Math.max(view.clip(view.x(span.to)) - x, 1);
  const name = span.role === "down" ? "down" : `${wide > 90 ? `${span.role} ` : ""}t${span.term}`;
  const { share, ink: colour } = ROLE[span.role];
  write(ink, name, x + 4, y + LANE - (LANE * share) / 2 + 0.5, { colour, room: wide - 6 });
}

function tellLog(lane, at) {
  return `at ${seconds(at)}: synced up to ${valueAt(lane.durable, at)}, committed ${valueAt(lane.committed, at)}, applied ${valueAt(lane.applied, at)}`;
}

/** Marks that would lie on each other are one, with their number. */
function drawMarks(ink, run, lane, y, hits) {
  let last = null;
  for (const mark of lane.marks) {
    if (!view.sees(mark.at, mark.at)) continue;
    const x = view.x(mark.at);
    if (last && x - last.x < 9) {
      last.marks.push(mark);
    } else {
      last = { x, marks: [mark] };
      const [shape, colour] = SIGN[mark.kind];
      const row = y + 6;
      ink.fillStyle = COLOUR.paper;
      ink.beginPath();
      ink.arc(x, row, 6, 0, 7);
      ink.fill();
      sign(ink, shape, x, row, 3.6, colour);
      const { marks } = last;
      hits.push({ x: x - 6, y: row - 6, width: 12, height: 12, tip: () => tellMarks(lane, marks), pick: () => lookAt(marks[0].at) });
    }
  }
}

function tellMarks(lane, marks) {
  const lines = marks.slice(0, 8).map((mark) => `${seconds(mark.at)} n${lane.node} ${mark.text}`);
  if (marks.length > 8) lines.push(`and ${marks.length - 8} more; zoom in`);
  return lines.join("\n");
}

/** A fault lies over the lanes that it meets. */
function drawBands(ink, run, top) {
  for (const band of run.bands) {
    if (!band.lasts || !view.sees(band.at, band.to)) continue;
    const x = view.clip(view.x(band.at)), wide = Math.max(2, view.clip(view.x(band.to)) - x);
    for (const node of band.hits) {
      if (!run.row.has(node)) continue;
      const y = laneTop(top, run.row.get(node)) - GAP / 2 + 1;
      ink.fillStyle = hatch(ink, COLOUR.red, -1);
      ink.globalAlpha = 0.45;
      ink.fillRect(x, y, wide, LANE + GAP - 2);
      ink.globalAlpha = 1;
      stroke(ink, COLOUR.red, 1.5, [[x, y], [x, y + LANE + GAP - 2]]);
    }
  }
}

/** The links that a fault meets: a line from lane to lane where it begins, with the directions at its ends. */
function drawLinks(ink, run, top) {
  for (const band of run.bands) {
    if (!band.lasts || !view.sees(band.at, band.at) || band.links.length === 0 || band.links.length > 24) continue;
    const pairs = new Map();
    for (const [from, to] of band.links) {
      const name = [Math.min(from, to), Math.max(from, to)].join();
      pairs.set(name, [...(pairs.get(name) ?? []), [from, to]]);
    }
    [...pairs.values()].forEach((directions, i) => {
      const x = view.x(band.at) + 5 + i * 7;
      if (x > view.width - MARGIN.right) return;
      const middle = (node) => laneTop(top, run.row.get(node) ?? 0) + LANE / 2;
      const [from, to] = directions[0];
      stroke(ink, COLOUR.red, 1.4, [[x, middle(from)], [x, middle(to)]], [3, 2]);
      sign(ink, "cross", x, (middle(from) + middle(to)) / 2, 3, COLOUR.red);
      for (const [sender, receiver] of directions) {
        const down = middle(receiver) > middle(sender);
        sign(ink, down ? "down" : "up", x, middle(receiver) + (down ? -3 : 3), 3, COLOUR.red);
      }
    });
  }
}

/** How an operation went through the log: appended, synced, known to be committed, applied, on each node. */
function drawWay(ink, run, top) {
  const steps = [];
  for (const { row, tries, committed, applied } of wayOf(run, run.clients.index[view.operation])) {
    const y = laneTop(top, row) + LANE / 2;
    for (const { at, synced } of tries) {
      steps.push(["up", at, y, COLOUR.ink]);
      if (synced !== null) steps.push(["square", synced, y, COLOUR.ink]);
    }
    if (committed !== null) steps.push(["circle", committed, y, COLOUR.blue]);
    if (applied !== null) steps.push(["diamond", applied, y + 6, COLOUR.red]);
  }
  for (const [shape, at, y, colour] of steps.filter(([, at]) => view.sees(at, at))) {
    const x = view.x(at);
    stroke(ink, COLOUR.ink, 1, [[x, y - LANE / 2], [x, y + LANE / 2]], [1, 2]);
    ink.fillStyle = COLOUR.paper;
    ink.beginPath();
    ink.arc(x, y, 6.5, 0, 7);
    ink.fill();
    sign(ink, shape, x, y, 4, colour);
  }
}

/** How far each log was committed (full) and applied (dashed). */
function drawLog(ink, run, top, height, hits) {
  const lanes = run.lanes.filter((lane) => view.node === "" || Number(view.node) === lane.node);
  let low = Infinity, high = 0;
  for (const lane of lanes) {
    low = Math.min(low, valueAt(lane.applied, view.from), valueAt(lane.committed, view.from));
    high = Math.max(high, valueAt(lane.committed, view.to), valueAt(lane.applied, view.to));
  }
  if (!(high > low)) { low = Math.max(0, high - 1); high = low + 1; }
  const y = (index) => top + height - 6 - ((index - low) / (high - low)) * (height - 14);
  write(ink, `${high}`, MARGIN.left - 6, y(high), { align: "right", colour: COLOUR.quiet });
  write(ink, `${low}`, MARGIN.left - 6, y(low), { align: "right", colour: COLOUR.quiet });
  const ends = [];
  for (const lane of lanes) {
    const { colour } = NODE[lane.row % NODE.length];
    stroke(ink, colour, 1, line(lane.applied, y), [3, 3]);
    const points = line(lane.committed, y);
    stroke(ink, colour, 1.8, points);
    ends.push([points[points.length - 1], `n${lane.node}`, colour]);
  }
  nameLines(ink, ends);
  hits.push({
    x: MARGIN.left, y: top, width: view.inner, height, weak: true,
    tip: (at) => lanes.map((lane) => `n${lane.node} ${tellLog(lane, at)}`).join("\n"),
  });
}

/** Names of lines that end at one height are side by side, as far as there is room. */
function nameLines(ink, ends) {
  const heights = new Map();
  for (const [[x, y], name, colour] of ends) {
    const height = Math.round(y / 11), before = heights.get(height) ?? 0;
    heights.set(height, before + 1);
    if (before < 2) write(ink, name, x + 5 + before * 20, height * 11, { colour });
    else if (before === 2) write(ink, "…", x + 5 + 36, height * 11, { colour: COLOUR.quiet });
  }
}

/** A number over time as a stair, no more of it than can be seen. */
function line(steps, y) {
  const first = place(steps.at, view.from), points = [[view.x(view.from), y(valueAt(steps, view.from))]];
  let last = points[0];
  for (let i = first; i < steps.at.length && steps.at[i] <= view.to; i++) {
    const x = view.x(steps.at[i]);
    if (x - last[0] < 0.5 && i + 1 < steps.at.length && steps.at[i + 1] <= view.to) continue;
    points.push([x, last[1]], [x, y(steps.to[i])]);
    last = points[points.length - 1];
  }
  points.push([view.x(view.to), last[1]]);
  return points;
}

/** What followed a heal. */
function drawRecoveries(ink, run, top, hits) {
  for (const [i, { at, leader, commit }] of run.recoveries.entries()) {
    const until = commit === null ? run.recoveries[i + 1]?.at ?? run.end : at + commit;
    if (!view.sees(at, until)) continue;
    const x = view.clip(view.x(at)), wide = Math.max(3, view.clip(view.x(until)) - x);
    ink.fillStyle = commit === null ? COLOUR.red : COLOUR.green;
    ink.fillRect(x, top + 3, wide, 6);
    const told = commit === null ? "not recovered" : `recovers in ${howLong(commit)}`;
    const next = run.recoveries[i + 1];
    const room = (next ? view.x(next.at) : view.width) - x - wide - 8;
    if (room > 84) write(ink, told, x + wide + 4, top + 6, { colour: COLOUR.quiet });
    const led = leader === null ? "no leader" : `a leader after ${howLong(leader)}`;
    hits.push({ x, y: top, width: wide, height: 12, tip: () => `heal at ${seconds(at)}: ${led}, ${commit === null ? "no commit" : `a commit after ${howLong(commit)}`}` });
  }
}
