"use strict";
// What is told beside the picture of whatever was chosen.

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function showDetails(title, ...parts) {
  document.getElementById("details").replaceChildren(element("h2", title), ...parts);
}

function lines(text) {
  const all = element("div");
  for (const line of text.split("\n")) all.append(element("p", line));
  return all;
}

function rows(head, body) {
  const table = element("table"), top = element("tr"), rest = element("tbody");
  for (const name of head) top.append(element("th", name));
  for (const cells of body) {
    const row = element("tr");
    for (const cell of cells) row.append(element("td", cell));
    rest.append(row);
  }
  const thead = element("thead");
  thead.append(top);
  table.append(thead, rest);
  return table;
}

function showNothing() {
  showDetails("Nothing chosen", element("p", "Click on an operation to follow it through the log, on a fault, a message or a node to read about it.", { class: "none" }));
}

function showOperation(run, i) {
  const ops = run.clients, index = ops.index[i], parts = [lines(tellOperation(ops, i))];
  if (run.accused.includes(i)) parts.push(element("p", "It is one of those that no order explains."));
  if (index) parts.push(...way(run, i, index));
  else parts.push(element("p", "No entry of the log is known to be of it.", { class: "none" }));
  showDetails(`${ops.fs[ops.f[i]]} ${ops.keys[ops.key[i]]}`, ...parts);
}

/** The way of an entry: which node had it when. */
function way(run, i, index) {
  const ops = run.clients, since = (at) => (at === null ? "-" : at < ops.began[i] ? `−${howLong(ops.began[i] - at)}` : `+${howLong(at - ops.began[i])}`);
  const body = [];
  for (const { node, tries, committed, applied } of wayOf(run, index)) {
    if (!tries.length) body.push([`n${node}`, "-", "-", "-", since(committed), since(applied)]);
    tries.forEach((append, n) => {
      const last = n === tries.length - 1;
      const dropped = append.dropped !== null && !last ? ` (dropped ${since(append.dropped)})` : "";
      body.push([`n${node}`, `t${append.term}`, since(append.at) + dropped, since(append.synced), last ? since(committed) : "", last ? since(applied) : ""]);
    });
  }
  const leader = leaderOf(run, index);
  const what = ops.beside[i] ? `It was read beside the log, after entry ${index}.` : `It is entry ${index} of the log.`;
  return [
    element("p", leader === null ? what : `${what} n${leader} led then.`),
    rows(["node", "term", "appended ▲", "synced ■", "committed ●", "applied ◆"], body),
    element("p", "Times count from the beginning of the operation, − before it. Committed: when the node knew.", { class: "none" }),
  ];
}

/** Who appended an entry first. */
function leaderOf(run, index) {
  let first = null;
  for (const { node, tries } of wayOf(run, index)) {
    for (const { at } of tries) if (first === null || at < first.at) first = { node, at };
  }
  return first && first.node;
}

function showMessage(sent, i) {
  view.message = i;
  showDetails("Message", lines(tellMessage(sent, i, sent.fates[sent.fate[i]])));
  redraw();
}

function showFault(run, band) {
  const parts = [lines(tellFault(band))];
  if (band.nodes.length) parts.push(element("p", `It meets ${band.nodes.map((node) => `n${node}`).join(" ")}.`));
  showDetails("Fault", ...parts);
}

function showNode(lane, at) {
  const span = lane.spans.findLast((span) => span.at <= at);
  const near = lane.marks.filter((mark) => Math.abs(mark.at - at) < (view.to - view.from) / 6).slice(0, 30);
  const role = span ? `${span.role}${span.role === "down" ? "" : ` in t${span.term}`} since ${seconds(span.at)}` : "not heard of yet";
  const body = near.map((mark) => [seconds(mark.at), mark.text]);
  showDetails(`n${lane.node}`, element("p", role), element("p", tellLog(lane, at)), ...(body.length ? [rows(["about then", ""], body)] : []));
}
