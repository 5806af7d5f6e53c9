"use strict";
// The run, from what the page holds. Times are microseconds since its start.

/** The sums of differences: a column as it was before it was written. */
function sums(deltas) {
  let sum = 0;
  return deltas.map((more) => (sum += more));
}

/** The place of the first of sorted numbers that is not below this one. */
function place(numbers, number) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < number) low = middle + 1; else high = middle;
  }
  return low;
}

async function readRun() {
  const packed = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const run = await new Response(plain).json();
  run.lanes.forEach((lane, row) => readLane(run, lane, row));
  run.row = new Map(run.lanes.map((lane) => [lane.node, lane.row]));
  readClients(run.clients);
  readTraffic(run.traffic);
  for (const band of run.bands) {
    band.lasts = band.faulty !== null;
    band.to = band.lasts ? band.until ?? run.end : band.at;
    band.hits = band.nodes.length ? band.nodes : [...new Set(band.links.flat())].sort((a, b) => a - b);
  }
  return run;
}

function readLane(run, lane, row) {
  lane.row = row;
  lane.spans.forEach((span, i) => { span.to = lane.spans[i + 1]?.at ?? run.end; });
  lane.marks = lane.marks.map(([at, kind, text]) => ({ at, kind, text }));
  for (const steps of [lane.truncated, lane.durable, lane.committed, lane.applied]) {
    steps.at = sums(steps.at);
    steps.to = sums(steps.to);
  }
  for (const column of ["at", "first", "term"]) lane.appended[column] = sums(lane.appended[column]);
}

function readClients(ops) {
  for (const column of ["began", "index"]) ops[column] = sums(ops[column]);
  ops.length = ops.began.length;
  // How far one that began earlier may reach, so that what is in sight is found.
  ops.longest = ops.took.reduce((longest, took) => Math.max(longest, took ?? 0), 0);
}

function readTraffic(sent) {
  for (const column of ["at", "term", "index", "commit"]) sent[column] = sums(sent[column]);
  sent.length = sent.at.length;
  sent.lost = new Set(sent.lost);
  sent.again = new Map(sent.again);
  sent.longest = sent.took.reduce((longest, took) => Math.max(longest, took ?? 0), 0);
  sent.family = sent.kind.map((kind, i) => family(sent.kinds[kind], sent.entries[i]));
}

/** What a message is for, of which there are few. */
function family(kind, entries) {
  if (kind === "append") return entries ? "append" : "heartbeat";
  if (kind === "confirm" || kind === "confirm-reply") return "heartbeat";
  if (/vote|timeout-now|not-member/.test(kind)) return "vote";
  if (kind.startsWith("snapshot")) return "snapshot";
  if (kind.startsWith("fetch")) return "append";
  return kind === "append-reply" ? "ack" : "read";
}

/** Whether a link did to a message what a whole one does not. */
function isOdd(sent, i) {
  const fate = sent.fates[sent.fate[i]];
  return fate !== "deliver" || sent.lost.has(i) || sent.took[i] === null;
}

/** What became of the entry at an index, on each node: when it was appended, synced, known to be committed and applied. */
function wayOf(run, index) {
  if (!index) return [];
  return run.lanes.map((lane) => {
    const { at, first, term, count } = lane.appended;
    const tries = [];
    for (let i = 0; i < at.length; i++) {
      if (first[i] > index || index >= first[i] + count[i]) continue;
      const dropped = after(lane.truncated, at[i], (from) => from <= index);
      tries.push({ at: at[i], term: term[i], synced: after(lane.durable, at[i], (to) => to >= index), dropped });
    }
    const committed = after(lane.committed, 0, (to) => to >= index);
    const applied = after(lane.applied, 0, (to) => to >= index);
    return { node: lane.node, row: lane.row, tries, committed, applied };
  });
}

/** When a number first was such, at or after a moment; null if never. */
function after(steps, at, is) {
  for (let i = place(steps.at, at); i < steps.at.length; i++) if (is(steps.to[i])) return steps.at[i];
  return null;
}

/** What a number was at a moment. */
function valueAt(steps, at) {
  const i = place(steps.at, at + 1) - 1;
  return i < 0 ? 0 : steps.to[i];
}
