"use strict";
// Colours, patterns and strokes, the same for the picture and its legend.

const COLOUR = {
  ink: "#1b1b1b", quiet: "#5c5c5c", line: "#d8d8d8", grid: "#ececec", paper: "#ffffff",
  orange: "#e69f00", sky: "#56b4e9", green: "#009e73", yellow: "#f0e442", blue: "#0072b2", red: "#d55e00", purple: "#cc79a7",
};
const FONT = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';

/** Height as a share of the lane, and colour: each tells the role without the other. */
const ROLE = {
  leader: { share: 1, colour: COLOUR.green, ink: "#fff" },
  candidate: { share: 0.75, colour: COLOUR.orange, ink: COLOUR.ink },
  "pre-candidate": { share: 0.75, colour: COLOUR.yellow, ink: COLOUR.ink },
  follower: { share: 0.5, colour: "#a9d8f3", ink: COLOUR.ink },
  learner: { share: 0.5, colour: COLOUR.purple, ink: COLOUR.ink },
  spare: { share: 0.25, colour: "#c9c9c9", ink: COLOUR.ink },
  down: { share: 1, colour: "#f2f2f2", ink: COLOUR.quiet, hatch: "#9a9a9a" },
};
/** How operations end. */
const END = [
  { name: "ok", colour: COLOUR.blue },
  { name: "failed: certainly not done", colour: COLOUR.red },
  { name: "info: nobody knows", colour: COLOUR.orange },
];
const MESSAGE = {
  append: COLOUR.blue, heartbeat: "#b5b5b5", ack: COLOUR.sky, read: "#7f7f7f", vote: COLOUR.orange, snapshot: COLOUR.purple,
};
/** Lines of nodes: colour and dashes. */
const NODE = [COLOUR.blue, COLOUR.orange, COLOUR.green, COLOUR.red, COLOUR.purple, COLOUR.ink, COLOUR.sky].map((colour) => ({ colour }));

const hatches = new Map();

/** Thin slanted lines; the other way round for another meaning. */
function hatch(ink, colour, slant = 1) {
  const name = `${colour} ${slant}`;
  if (!hatches.has(name)) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.lineWidth = 1.4;
    pen.beginPath();
    for (const shift of [-8, 0, 8]) {
      pen.moveTo(shift, slant > 0 ? 8 : 0);
      pen.lineTo(shift + 8, slant > 0 ? 0 : 8);
    }
    pen.stroke();
    hatches.set(name, tile);
  }
  return ink.createPattern(hatches.get(name), "repeat");
}

function stroke(ink, colour, width, points, dashes = []) {
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.setLineDash(dashes);
  ink.beginPath();
  points.forEach(([x, y], i) => (i ? ink.lineTo(x, y) : ink.moveTo(x, y)));
  ink.stroke();
  ink.setLineDash([]);
}

/** Text, cut where there is no room. */
function write(ink, text, x, y, { colour = COLOUR.ink, align = "left", room = Infinity } = {}) {
  if (room < 12) return;
  let shown = text;
  while (shown.length > 1 && ink.measureText(shown).width > room) shown = shown.slice(0, -2);
  if (shown !== text) shown = shown.length > 2 ? `${shown.slice(0, -1)}…` : "";
  ink.fillStyle = colour;
  ink.textAlign = align;
  ink.textBaseline = "middle";
  ink.fillText(shown, x, y);
}

/** A sign that needs no colour. */
function sign(ink, shape, x, y, size, colour) {
  ink.fillStyle = ink.strokeStyle = colour;
  ink.lineWidth = 1.6;
  ink.beginPath();
  if (shape === "cross") {
    ink.moveTo(x - size, y - size); ink.lineTo(x + size, y + size);
    ink.moveTo(x + size, y - size); ink.lineTo(x - size, y + size);
    ink.stroke();
  } else if (shape === "circle") {
    ink.arc(x, y, size, 0, 7); ink.fill();
  } else if (shape === "square") {
    ink.fillRect(x - size, y - size, size * 2, size * 2);
  } else {
    const up = shape === "up" ? 1 : -1;
    if (shape === "diamond") {
      ink.moveTo(x, y - size * 1.3); ink.lineTo(x + size * 1.3, y); ink.lineTo(x, y + size * 1.3); ink.lineTo(x - size * 1.3, y);
    } else {
      ink.moveTo(x, y - size * up); ink.lineTo(x + size, y + size * up); ink.lineTo(x - size, y + size * up);
    }
    ink.fill();
  }
}

/** A role, as a block of a lane of this height. */
function block(ink, role, x, y, width, height) {
  const { share, colour, hatch: lines } = ROLE[role];
  const tall = Math.round(height * share);
  ink.fillStyle = colour;
  ink.fillRect(x, y + height - tall, width, tall);
  if (lines) {
    ink.fillStyle = hatch(ink, lines);
    ink.fillRect(x, y + height - tall, width, tall);
  }
  if (role === "pre-candidate") stroke(ink, COLOUR.ink, 1, [[x, y + height - tall], [x + width, y + height - tall]], [2, 2]);
  return y + height - tall;
}

/** An operation: what is read is hollow, what is written is full. */
function bar(ink, end, isRead, x, y, width, height) {
  const { colour } = END[end];
  const wide = Math.max(width, 1.5);
  if (isRead && wide > 4) {
    ink.strokeStyle = colour;
    ink.lineWidth = 1.2;
    ink.strokeRect(x + 0.6, y + 0.6, wide - 1.2, height - 1.2);
  } else {
    ink.fillStyle = colour;
    ink.globalAlpha = isRead ? 0.55 : 1;
    ink.fillRect(x, y, wide, height);
    ink.globalAlpha = 1;
  }
}
