"use strict";
// The clients: their operations, how many were ok, and how long those took.

function opIsShown(ops, i) {
  return (view.key === "" || ops.keys[ops.key[i]] === view.key)
    && (view.client === "" || ops.client[i] === Number(view.client))
    && (view.node === "" || ops.node[i] === Number(view.node));
}

/** The operations in sight, in the order in which they began. */
function* opsInSight(ops) {
  for (let i = place(ops.began, view.from - ops.longest); i < ops.length && ops.began[i] <= view.to; i++) {
    if (opIsShown(ops, i) && ops.began[i] + (ops.took[i] ?? Infinity) >= view.from) yield i;
  }
}

function opRow(ops) {
  return Math.max(2, Math.min(14, Math.floor(420 / Math.max(1, ops.count))));
}

function drawOperations(ink, run, top, hits) {
  const ops = run.clients, row = opRow(ops), thin = Math.max(1, row - 3);
  if (row >= 10) for (let c = 0; c < ops.count; c++) write(ink, `client ${c}`, 10, top + c * row + row / 2, { colour: COLOUR.quiet });
  else write(ink, `${ops.count} clients`, 10, top + 8, { colour: COLOUR.quiet });
  const accused = new Set(run.accused), late = [];
  for (const i of opsInSight(ops)) {
    if (accused.has(i) || i === view.operation) { late.push(i); continue; }
    drawOperation(ink, ops, i, top, row, thin, hits);
  }
  for (const i of late) {
    drawOperation(ink, ops, i, top, row, thin, hits);
    const { x, y, width } = opBox(ops, i, top, row, thin);
    ink.strokeStyle = accused.has(i) ? COLOUR.red : COLOUR.ink;
    ink.lineWidth = 2.5;
    ink.strokeRect(x - 2.5, y - 2.5, Math.max(width, 2) + 5, thin + 5);
    if (accused.has(i)) sign(ink, "down", x + width / 2, y - 8, 4.5, COLOUR.red);
  }
}

function opBox(ops, i, top, row, thin) {
  const x = view.clip(view.x(ops.began[i]));
  const until = ops.took[i] === null ? view.end : ops.began[i] + ops.took[i];
  return { x, y: top + (ops.client[i] % Math.max(1, ops.count)) * row + 1, width: view.clip(view.x(until)) - x };
}

function drawOperation(ink, ops, i, top, row, thin, hits) {
  const { x, y, width } = opBox(ops, i, top, row, thin);
  const end = ops.end[i], isRead = ops.fs[ops.f[i]] === "read";
  if (end === 2) {
    // Nobody saw it end: a dashed line for as long as its client waited.
    stroke(ink, END[2].colour, Math.max(2, thin - 4), [[x, y + thin / 2], [x + Math.max(width, 3), y + thin / 2]], [5, 3]);
  } else {
    bar(ink, end, isRead, x, y, width, thin);
    if (end === 1 && thin > 5) sign(ink, "cross", x + Math.max(width, 2), y + thin / 2, 3, COLOUR.ink);
  }
  if (width > 46 && thin > 7) {
    const said = isRead ? `${ops.keys[ops.key[i]]} = ${ops.answer[i] ?? "?"}` : `${ops.fs[ops.f[i]]} ${ops.keys[ops.key[i]]}${asked(ops, i)}`;
    if (end === 2) halo(ink, said, x + 4, y + thin / 2, width - 8);
    else write(ink, said, x + 4, y + thin / 2, { room: width - 8, colour: isRead ? COLOUR.ink : "#fff" });
  }
  hits.push({ x: x - 1, y: y - 1, width: Math.max(width, 2) + 2, height: thin + 2, operation: i, tip: () => tellOperation(ops, i), pick: () => choose(i) });
}

/** What it carries, if anything. */
function asked(ops, i) {
  return ops.asked[i] === "null" ? "" : ` ${ops.asked[i]}`;
}

function tellOperation(ops, i) {
  const answer = ops.end[i] === 0 ? `: ${ops.answer[i]}` : "";
  const took = ops.took[i] === null ? "never ended" : `took ${howLong(ops.took[i])}`;
  const index = ops.index[i] ? (ops.beside[i] ? `read after entry ${ops.index[i]}` : `entry ${ops.index[i]}`) : "took no effect that is known";
  return `process ${ops.process[i]} ${ops.fs[ops.f[i]]} ${ops.keys[ops.key[i]]}${asked(ops, i)}${answer}\n${END[ops.end[i]].name}, ${seconds(ops.began[i])}, ${took}\n${index}`;
}

/** How long a column of the bars below is: some pixels, and a round time. */
function bucket() {
  const wanted = ((view.to - view.from) / view.inner) * 6;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return Math.max(1000, [1, 2, 5, 10].map((n) => n * power).find((step) => step >= wanted));
}

/** Ends of operations in each column of time: how many of each kind, and how long those took that were ok. */
function buckets(ops) {
  const wide = bucket(), first = Math.floor(view.from / wide), all = new Map();
  for (let i = place(ops.began, view.from - ops.longest); i < ops.length && ops.began[i] <= view.to; i++) {
    if (!opIsShown(ops, i) || ops.took[i] === null) continue;
    const column = Math.floor((ops.began[i] + ops.took[i]) / wide);
    if (column < first || column * wide > view.to) continue;
    if (!all.has(column)) all.set(column, { at: column * wide, ends: [0, 0, 0], took: [] });
    const bucket = all.get(column);
    bucket.ends[ops.end[i]]++;
    if (ops.end[i] === 0) bucket.took.push(ops.took[i]);
  }
  for (const { took } of all.values()) took.sort((a, b) => a - b);
  return { wide, all: [...all.values()].sort((a, b) => a.at - b.at) };
}

function drawThroughput(ink, run, top, height, hits) {
  const { wide, all } = buckets(run.clients);
  const rate = (count) => (count * 1e6) / wide;
  const most = Math.max(1, ...all.map(({ ends }) => ends[0] + ends[1] + ends[2]));
  const tall = (count) => (count / most) * (height - 10);
  const pixels = (wide / (view.to - view.from)) * view.inner;
  write(ink, `${Math.round(rate(most))}/s`, MARGIN.left - 6, top + 8, { align: "right", colour: COLOUR.quiet });
  stroke(ink, COLOUR.line, 1, [[MARGIN.left, top + height - 0.5], [view.width - MARGIN.right, top + height - 0.5]]);
  for (const { at, ends } of all) {
    const x = view.clip(view.x(at)), width = Math.max(1, view.clip(view.x(at + wide)) - x - (pixels > 4 ? 1 : 0));
    let y = top + height;
    ends.forEach((count, end) => {
      y -= tall(count);
      ink.fillStyle = END[end].colour;
      ink.fillRect(x, y, width, tall(count));
    });
    hits.push({ x, y: top, width: width + 1, height, tip: () => `${seconds(at)}, ${howLong(wide)}: ${ends[0]} ok, ${ends[1]} failed, ${ends[2]} info\n${Math.round(rate(ends[0]))} ok a second` });
  }
}

/** Each operation that was ok as a dot, on a scale of tens; half and 99 of a hundred as lines. */
function drawLatency(ink, run, top, height, hits) {
  const ops = run.clients, most = Math.log10(Math.max(ops.longest, 10_000)), least = Math.log10(500);
  const y = (took) => top + height - 4 - ((Math.log10(Math.max(took, 500)) - least) / (most - least)) * (height - 12);
  for (const took of [1e3, 1e4, 1e5, 1e6, 1e7].filter((took) => took <= 10 ** most)) {
    stroke(ink, COLOUR.grid, 1, [[MARGIN.left, y(took)], [view.width - MARGIN.right, y(took)]]);
    write(ink, howLong(took).replace(".00", "").replace(".0", ""), MARGIN.left - 6, y(took), { align: "right", colour: COLOUR.quiet });
  }
  for (const i of opsInSight(ops)) {
    if (ops.took[i] === null) continue;
    const x = view.x(ops.began[i] + ops.took[i]);
    if (x > view.width - MARGIN.right || x < MARGIN.left) continue;
    ink.fillStyle = END[ops.end[i]].colour;
    ink.globalAlpha = ops.end[i] ? 1 : 0.35;
    if (ops.end[i]) sign(ink, ops.end[i] === 1 ? "cross" : "up", x, y(ops.took[i]), 3, END[ops.end[i]].colour);
    else ink.fillRect(x - 1, y(ops.took[i]) - 1, 2, 2);
    ink.globalAlpha = 1;
  }
  const { wide, all } = buckets(ops);
  const curve = (share) => all.filter(({ took }) => took.length).map(({ at, took }) => [view.clip(view.x(at + wide / 2)), y(took[Math.ceil(took.length * share) - 1])]);
  stroke(ink, COLOUR.ink, 1.5, curve(0.5));
  stroke(ink, COLOUR.ink, 1, curve(0.99), [4, 2]);
  hits.push({ x: MARGIN.left, y: top, width: view.inner, height, weak: true, tip: (at) => tellLatency(all, wide, at) });
}

function tellLatency(all, wide, at) {
  const bucket = all.find((bucket) => at >= bucket.at && at < bucket.at + wide);
  if (!bucket?.took.length) return `${seconds(at)}: nothing was ok`;
  const of = (share) => howLong(bucket.took[Math.ceil(bucket.took.length * share) - 1]);
  return `${seconds(bucket.at)}: p50 ${of(0.5)} (full line), p99 ${of(0.99)} (dashed)`;
}
