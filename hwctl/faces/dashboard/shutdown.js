// What the rig needs to come down in order, against what is left.

import { h, setHidden, setRatio, setText } from "./dom.js";
import { duration, sentence } from "./format.js";

const SAYS = {
  standby: "Standing by",
  confirming: "Making sure",
  running: "Coming down",
  down: "Down",
  recovering: "Coming up again",
  off: "Off",
};
const SCALE_S = 6 * 3600; // the right end of the scale, unless more is left
const ROWS = [
  ["needed_s", "Needed to come down"],
  ["threshold_s", "Begins when that is left"],
  ["left_low_s", "Left, at least"],
];

export class ShutdownView {
  #state = h("span", { class: "pill", testid: "shutdown-state" });
  #armed = h("span", { class: "pill", testid: "shutdown-armed" });
  #scale = h("div", { class: "scale", role: "img" }, h("i", { class: "fill" }), h("i", { class: "needed" }), h("i", { class: "threshold" }));
  #values = {};
  #stages = h("ol", { class: "stages", "aria-label": "Stages" });
  #cause = h("p", { class: "small muted" });
  #start;
  #cancel;

  constructor(root, { start, cancel }) {
    this.#start = h("button", { type: "button", class: "danger", text: "Shut down…", testid: "shutdown-start", on: { click: start } });
    this.#cancel = h("button", { type: "button", text: "Call it off", testid: "shutdown-cancel", on: { click: cancel } });
    const list = h("dl", { class: "rows" });
    for (const [key, label] of ROWS) {
      this.#values[key] = h("dd", { testid: `shutdown-${key}` });
      list.append(h("div", {}, h("dt", {}, h("i", { class: `key ${key}` }), label), this.#values[key]));
    }
    root.append(
      h("div", { class: "panel-head" }, h("h2", { id: "shutdown-title", text: "Shutdown" }), h("span", { class: "spacer" }), this.#armed, this.#state),
      this.#scale,
      list,
      this.#stages,
      this.#cause,
      h("div", { class: "actions" }, this.#cancel, this.#start),
    );
  }

  update(state, nodes) {
    const busy = ["confirming", "running", "recovering"].includes(state.state);
    setText(this.#state, SAYS[state.state] ?? state.state);
    this.#state.className = `pill ${state.state === "running" ? "bad" : busy ? "warn" : ""}`;
    setText(this.#armed, state.armed ? "Armed" : "Not armed: only warns");
    this.#armed.className = `pill ${state.armed ? "good" : "warn"}`;
    for (const [key] of ROWS) setText(this.#values[key], duration(state[key]));
    this.#draw(state);
    this.#drawStages(state, nodes);
    setText(this.#cause, state.cause ? sentence(state.cause) : "");
    setHidden(this.#cause, !state.cause);
    setHidden(this.#cancel, !busy);
    this.#start.disabled = state.state === "running" || state.state === "down";
  }

  /** Hours and seconds on one line: the scale is the fourth root, so that both can be seen. */
  #draw(state) {
    const { needed_s: needed, threshold_s: threshold, left_low_s: left } = state;
    const most = Math.max(left ?? 0, SCALE_S, (needed ?? 0) * 4);
    const place = (seconds) => (seconds === null ? null : Math.pow(seconds / most, 0.25));
    setRatio(this.#scale, "--left", place(left));
    setRatio(this.#scale, "--needed", place(needed));
    setRatio(this.#scale, "--threshold", place(threshold));
    this.#scale.classList.toggle("no-left", left === null);
    this.#scale.classList.toggle("no-needed", needed === null);
    this.#scale.classList.toggle("no-threshold", threshold === null);
    this.#scale.classList.toggle("under", left !== null && threshold !== null && left <= threshold);
    this.#scale.setAttribute("aria-label", `Needed ${duration(needed)}, begins at ${duration(threshold)}, left at least ${duration(left)}`);
  }

  #drawStages(state, nodes) {
    const current = state.stages.indexOf(state.stage);
    const texts = state.stages.map((name, index) => {
      const roles = name.split(/[\s,+]+/);
      const members = nodes.filter((node) => roles.includes(node.role));
      const down = members.filter((node) => node.power === "off" || node.os === "halted").length;
      const ended = state.state === "down" || (state.state === "running" && current >= 0 && index < current);
      const phase = ended ? "done" : index === current ? "now" : "ahead";
      return [phase, name, members.length ? `${down} of ${members.length} down` : ""];
    });
    while (this.#stages.children.length > texts.length) this.#stages.lastChild.remove();
    texts.forEach(([phase, name, progress], index) => {
      const item = this.#stages.children[index] ?? this.#stages.appendChild(h("li", {}, h("b"), h("span", { class: "muted small" })));
      item.className = phase;
      if (phase === "now") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      setText(item.firstChild, name);
      setText(item.lastChild, progress);
    });
  }
}
