"use strict";
// What part of the run is in sight, and what is chosen. Only what is here changes after the page was read.

const MARGIN = { left: 92, right: 46 };
const SHORTEST = 400;

const view = {
  from: 0, to: 1, end: 1, origin: 0, width: 100,
  key: "", node: "", client: "", kind: "",
  operation: null, message: null, cursor: null,

  x(at) { return MARGIN.left + ((at - this.from) / (this.to - this.from)) * this.inner; },
  at(x) { return this.from + ((x - MARGIN.left) / this.inner) * (this.to - this.from); },
  get inner() { return Math.max(50, this.width - MARGIN.left - MARGIN.right); },
  sees(from, to) { return to >= this.from && from <= this.to; },
  /** Inside what can be drawn, so that a line of an hour is no longer than the page. */
  clip(x) { return Math.min(Math.max(x, MARGIN.left), this.width - MARGIN.right); },

  look(from, to) {
    const length = Math.min(Math.max(to - from, SHORTEST), this.end);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - length / 2, 0), this.end - length);
    this.to = this.from + length;
  },
  zoom(by, at) {
    const share = (at - this.from) / (this.to - this.from);
    const length = Math.min(Math.max((this.to - this.from) * by, SHORTEST), this.end);
    this.look(at - share * length, at + (1 - share) * length);
  },
  move(share) {
    const by = (this.to - this.from) * share;
    const length = this.to - this.from;
    const from = Math.min(Math.max(this.from + by, 0), this.end - length);
    this.from = from;
    this.to = from + length;
  },
};

/** A moment as the story counts: from the end of the warm-up. */
function seconds(at, digits = 3) {
  return `${((at - view.origin) / 1e6).toFixed(digits)} s`;
}

/** How long something took, for people. */
function howLong(micros) {
  if (micros >= 1e6) return `${(micros / 1e6).toFixed(2)} s`;
  return `${(micros / 1e3).toFixed(micros < 1e4 ? 1 : 0)} ms`;
}

/** Round moments in sight, and how many digits tell them apart. */
function ticks() {
  const wanted = (view.to - view.from) / Math.max(3, view.inner / 110);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((n) => n * power).find((step) => step >= wanted);
  const digits = Math.max(0, 6 - Math.floor(Math.log10(step) + 1e-9));
  const all = [];
  const first = Math.ceil((view.from - view.origin) / step) * step + view.origin;
  for (let at = first; at <= view.to; at += step) all.push(at);
  return { all, digits: Math.min(digits, 6) };
}
