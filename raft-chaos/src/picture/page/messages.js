"use strict";
// Messages between the nodes: a line from where and when one was sent to where and when it came in.

/** So many are drawn one by one; of more only their number is. */
const DRAWN = 1800;
const SPACE = 40;

const IS_KIND = {
  "": () => true,
  telling: (family) => family !== "heartbeat" && family !== "ack" && family !== "read",
  votes: (family) => family === "vote",
  entries: (family) => family === "append" || family === "snapshot" || family === "ack",
  odd: (_, sent, i) => isOdd(sent, i),
};

function messageIsShown(sent, i) {
  const node = Number(view.node);
  return (view.node === "" || sent.sender[i] === node || sent.receiver[i] === node) && IS_KIND[view.kind](sent.family[i], sent, i);
}

function messagesInSight(sent) {
  const found = [];
  for (let i = place(sent.at, view.from - sent.longest); i < sent.length && sent.at[i] <= view.to; i++) {
    if (messageIsShown(sent, i) && sent.at[i] + (sent.took[i] ?? 0) >= view.from) found.push(i);
  }
  return found;
}

function drawMessages(ink, run, top, height, hits) {
  const sent = run.traffic, y = (node) => top + 12 + (run.row.get(node) ?? 0) * SPACE;
  const found = messagesInSight(sent);
  if (found.length > DRAWN) {
    drawDensity(ink, sent, found, top, height);
    drawBounds(ink, sent, top, height);
    return;
  }
  for (const lane of run.lanes) {
    write(ink, `n${lane.node}`, 10, y(lane.node));
    for (const span of lane.spans) {
      if (!view.sees(span.at, span.to)) continue;
      const colour = span.role === "down" ? COLOUR.line : ROLE[span.role].colour;
      stroke(ink, colour, span.role === "leader" ? 5 : 3, [[view.clip(view.x(span.at)), y(lane.node)], [view.clip(view.x(span.to)), y(lane.node)]], span.role === "down" ? [2, 4] : []);
    }
  }
  if (!sent.length) {
    write(ink, "This run has no record of its messages.", MARGIN.left + 8, top + height / 2, { colour: COLOUR.quiet });
    return;
  }
  drawBounds(ink, sent, top, height);
  const labels = found.length < 90;
  for (const i of found) drawMessage(ink, sent, i, y, labels, hits);
}

/** Where what is held of the messages begins and ends, if it is not all. */
function drawBounds(ink, sent, top, height) {
  if (sent.length === sent.all) return;
  const told = `Of ${sent.all} messages the ${sent.length} between ${seconds(sent.from)} and ${seconds(sent.until)} are on this page; raft-chaos report RUN --at SECONDS shows others.`;
  ink.fillStyle = "#f5f5f3";
  for (const [from, to] of [[0, sent.from], [sent.until, view.end]]) {
    if (!view.sees(from, to) || from === to) continue;
    const x = view.clip(view.x(from));
    ink.fillRect(x, top, view.clip(view.x(to)) - x, height);
  }
  write(ink, told, MARGIN.left + 8, top + height - 4, { colour: COLOUR.quiet, room: view.inner - 16 });
}

/** How many there are, and where the odd ones are. */
function drawDensity(ink, sent, found, top, height) {
  const columns = new Map();
  for (const i of found) {
    const x = Math.round(view.x(sent.at[i]) / 3) * 3;
    const [all, odd] = columns.get(x) ?? [0, 0];
    columns.set(x, [all + 1, odd + (isOdd(sent, i) ? 1 : 0)]);
  }
  const most = Math.max(...[...columns.values()].map(([all]) => all));
  const tall = (count) => (count / most) * (height - 26);
  for (const [x, [all, odd]] of columns) {
    ink.fillStyle = "#d4d4d4";
    ink.fillRect(x, top + height - 4 - tall(all), 3, tall(all));
    ink.fillStyle = COLOUR.red;
    ink.fillRect(x, top + height - 4 - tall(odd), 3, tall(odd));
  }
  halo(ink, `${found.length} messages here, red those that were lost, late or sent twice. Zoom in to see them one by one.`, MARGIN.left + 8, top + 4, view.inner - 16);
}

function drawMessage(ink, sent, i, y, labels, hits) {
  const from = [view.x(sent.at[i]), y(sent.sender[i])];
  const family = sent.family[i], colour = MESSAGE[family], isReply = sent.kinds[sent.kind[i]].endsWith("reply");
  const fate = sent.fates[sent.fate[i]], lost = sent.took[i] === null;
  const took = sent.took[i] ?? 8000;
  const full = [view.x(sent.at[i] + took), y(sent.receiver[i])];
  const to = lost ? [(from[0] + full[0]) / 2, (from[1] + full[1]) / 2] : full;
  const odd = isOdd(sent, i);
  const width = i === view.message ? 3 : odd || family === "vote" ? 1.8 : 1.1;
  ink.save();
  ink.beginPath();
  ink.rect(MARGIN.left, 0, view.inner, 1e5);
  ink.clip();
  stroke(ink, lost ? COLOUR.red : colour, width, [from, to], isReply ? [4, 3] : []);
  if (lost) sign(ink, "cross", to[0], to[1], 4, COLOUR.red);
  else arrow(ink, from, to, colour);
  if (odd && !lost) sign(ink, "diamond", (from[0] + to[0]) / 2, (from[1] + to[1]) / 2, 3.2, COLOUR.red);
  if (sent.again.has(i)) {
    const again = [view.x(sent.at[i] + sent.again.get(i)), y(sent.receiver[i])];
    stroke(ink, COLOUR.purple, 1.5, [from, again], [2, 2]);
    arrow(ink, from, again, COLOUR.purple);
  }
  if (labels && (family !== "heartbeat" || odd)) label(ink, sent, i, from, to);
  ink.restore();
  hits.push({ line: [from, to], y: Math.min(from[1], to[1]), tip: () => tellMessage(sent, i, fate), pick: () => showMessage(sent, i) });
}

function arrow(ink, from, to, colour) {
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
  ink.fillStyle = colour;
  ink.beginPath();
  ink.moveTo(to[0], to[1]);
  for (const turn of [0.45, -0.45]) ink.lineTo(to[0] - 8 * Math.cos(angle + turn), to[1] - 8 * Math.sin(angle + turn));
  ink.fill();
}

function label(ink, sent, i, from, to) {
  const x = from[0] * 0.7 + to[0] * 0.3, y = from[1] * 0.7 + to[1] * 0.3;
  halo(ink, shortly(sent, i), x + 3, y, 130);
}

/** What a message says, as short as can be. */
function shortly(sent, i) {
  const kind = sent.kinds[sent.kind[i]], term = `t${sent.term[i]}`;
  const yes = sent.granted[i] === 1 ? " yes" : sent.granted[i] === 0 ? " no" : "";
  if (kind === "append") return sent.entries[i] ? `${term} ${sent.index[i] + 1}..${sent.index[i] + sent.entries[i]}` : term;
  if (kind === "append-reply") return `${term}${sent.granted[i] ? ` has ${sent.index[i]}` : ` no, ${sent.index[i]}`}`;
  return `${kind.replace("-reply", "")} ${term}${yes}`;
}

const FATE = {
  deliver: "as sent", drop: "lost on the link", reset: "lost, and the connection with it", corrupt: "changed on the link",
  duplicate: "sent twice by the link", reorder: "held back by the link", hold: "held by the link",
};

function tellMessage(sent, i, fate) {
  const log = {
    append: `entries ${sent.index[i] + 1} to ${sent.index[i] + sent.entries[i]} after ${sent.index[i]}, commit ${sent.commit[i]}`,
    heartbeat: `no entries, after ${sent.index[i]}, commit ${sent.commit[i]}`, ack: `agrees up to ${sent.index[i]}`,
    vote: `last entry ${sent.index[i]}`, snapshot: `snapshot up to ${sent.index[i]}`,
  }[sent.family[i]];
  const answer = sent.granted[i] === 1 ? ", granted" : sent.granted[i] === 0 ? ", refused" : "";
  const kind = sent.kinds[sent.kind[i]];
  const says = /reply/.test(kind) && sent.family[i] === "vote" ? "" : log ?? "";
  const end = sent.lost.has(i) ? "cut off on its way" : sent.took[i] === null ? "never came in" : `came in after ${howLong(sent.took[i])}`;
  const twice = sent.again.has(i) ? `, and again after ${howLong(sent.again.get(i))}` : "";
  return `${kind} n${sent.sender[i]}→n${sent.receiver[i]} in t${sent.term[i]}${answer}\n${says}\nsent ${seconds(sent.at[i])}, ${FATE[fate]}; ${end}${twice}`.replace("\n\n", "\n");
}
