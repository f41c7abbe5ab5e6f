// One card for each node.

import { h, setAttribute, setHidden, setRatio, setText } from "./dom.js";
import { duration, number, percent, sentence, UNKNOWN } from "./format.js";

// hwctl.policy.power plans these steps; a step that is not listed is shown without "n of m".
const OFF = ["halt", "prove-halt", "cut", "verify-off"];
const ON = ["admit", "switch-on", "verify-on", "came-back"];
export const PLANS = { off: OFF, on: ON, cycle: [...OFF, "drain", ...ON], reset: ["reboot", "came-back"] };
// Where the outlet performs the cycle by itself.
export const TIMED_CYCLE = [...OFF.slice(0, 2), "admit", "cycle", "verify-off", "switch-on", "verify-on", "came-back"];
export const STEPS = {
  halt: "asking it to halt",
  "prove-halt": "waiting for its draw to fall",
  cut: "cutting its feed",
  "verify-off": "making sure that it is dead",
  drain: "staying dead",
  admit: "waiting for room on the rail",
  "switch-on": "switching its feed on",
  "verify-on": "making sure that it is fed",
  cycle: "its outlet switches it off and on by itself",
  reboot: "asking it to reboot",
  "came-back": "waiting for it to come back",
};
const WARM = 70;
const HOT = 80; // the Pi's soft limit, as in hwctl's cooling curve

/** [class, text] of the pill. */
function stateOf(node) {
  if (node.power === "off") return ["off", "Off"];
  if (node.power === "powering-on") return ["busy", "Powering on"];
  if (node.power === "powering-off") return ["busy", "Powering off"];
  switch (node.os) {
    case "up":
      return node.throttled ? ["warn", "Up, throttled"] : ["good", "Up"];
    case "booting":
      return ["busy", "Booting"];
    case "halting":
      return ["busy", "Halting"];
    case "halted":
      return ["off", "Halted"];
    case "unreachable":
      return ["bad", "Unreachable"];
    default:
      return ["", node.power === "unknown" ? "Not known" : "Fed"];
  }
}

/** Why a button does nothing now, or "". */
function obstacle(node, action) {
  if (node.protected) return `${node.id} is protected`;
  if (!node.outlet) return `no outlet feeds ${node.id}`;
  if (node.operation) return "an operation is under way";
  const off = node.power === "off";
  if (action === "on" && node.power === "on") return "it is on";
  if (action === "off" && off) return "it is off";
  if ((action === "cycle" || action === "reset") && off) return "it is off: switch it on";
  return "";
}

/** The steps of an operation, as far as they are known beforehand. */
function planOf(operation) {
  if (operation.forced !== null) return [];
  const seen = operation.steps.map((step) => step.name);
  const early = operation.kind === "cycle" && seen.includes("admit") && !seen.includes("cut");
  return early ? TIMED_CYCLE : PLANS[operation.kind] ?? [];
}

function ageText(node) {
  if (node.quality === "ok") return "";
  if (node.power === "off") return "";
  if (node.quality === "stale") return `${duration(node.age_s)} old`;
  if (node.quality === "suspect") return "implausible";
  return node.age_s === null ? "never heard" : `silent ${duration(node.age_s)}`;
}

class OperationRow {
  #text = h("span");
  #bar = h("div", { class: "op-bar" }, h("i"));
  #cancel;
  #id = null;

  constructor(cancel) {
    this.#cancel = h("button", { type: "button", class: "link", text: "Cancel", on: { click: () => cancel(this.#id) } });
    this.root = h("div", { class: "op", hidden: true }, h("div", { class: "op-line" }, this.#text, this.#cancel), this.#bar);
  }

  update(operation) {
    setHidden(this.root, !operation);
    if (!operation) return;
    this.#id = operation.id;
    this.root.dataset.testid = `op-${operation.id}`;
    this.root.className = `op ${operation.state}`;
    const plan = planOf(operation);
    const place = plan.indexOf(operation.step);
    const words = STEPS[operation.step] ?? operation.step ?? "";
    let text = `${sentence(operation.kind)}: ${words}`;
    if (place >= 0) text += ` (${place + 1} of ${plan.length})`;
    if (operation.state === "pending") text = `${sentence(operation.kind)}: waiting to begin`;
    if (operation.state === "done") text = `${sentence(operation.kind)}: done`;
    if (operation.state === "failed") text = `${sentence(operation.kind)} failed: ${operation.error ?? "no reason given"}`;
    if (operation.state === "cancelled") text = `${sentence(operation.kind)}: called off`;
    if (operation.forced !== null && !["failed", "done"].includes(operation.state)) text += ", forced";
    setText(this.#text, text);
    setRatio(this.#bar, "--at", operation.state === "done" ? 1 : place >= 0 ? (place + 0.5) / plan.length : null);
    this.#bar.classList.toggle("unknown", place < 0 && operation.state === "running");
    setHidden(this.#bar, ["failed", "cancelled", "done"].includes(operation.state));
    setHidden(this.#cancel, !operation.cancellable || !["pending", "running"].includes(operation.state));
    setAttribute(this.#cancel, "aria-label", `Cancel the ${operation.kind} of ${operation.target}`);
  }
}

export class NodeView {
  #pill = h("span", { class: "pill" });
  #age = h("span", { class: "age small" });
  #load = h("span", { class: "num load-value" });
  #bar = h("div", { class: "bar", role: "img" }, h("i"));
  #celsius = h("span", { class: "num" });
  #watts = h("span", { class: "num metered" }); // by the feed's own meter, whatever the node says
  #role = h("span", { class: "muted small role" });
  #lock = h("span", { class: "small muted", text: "protected", hidden: true });
  #assumed = h("span", {
    class: "small assumed",
    text: "assumed",
    title: "Its outlet cannot be read back: this is what it was last ordered to do.",
    hidden: true,
  });
  #locate;
  #buttons = {};
  #operation;
  #state = null;

  constructor(state, { power, locate, cancel }) {
    const id = state.id;
    this.id = id;
    this.#pill.dataset.testid = `node-${id}-state`;
    this.#load.dataset.testid = `node-${id}-load`;
    this.#celsius.dataset.testid = `node-${id}-celsius`;
    this.#watts.dataset.testid = `node-${id}-watts`;
    this.#age.dataset.testid = `node-${id}-age`;
    this.#assumed.dataset.testid = `node-${id}-assumed`;
    this.#locate = h("button", {
      type: "button",
      class: "locate",
      text: "Locate",
      "aria-label": `Locate ${id} on the strip`,
      testid: `node-${id}-locate`,
      on: { click: () => locate(id, !this.#state.locate) },
    });
    const row = h("div", { class: "buttons", role: "group", "aria-label": `Power of ${id}` });
    for (const action of ["on", "off", "cycle", "reset"]) {
      const button = h("button", {
        type: "button",
        text: sentence(action),
        "aria-label": `${sentence(action)} ${id}`,
        testid: `node-${id}-${action}`,
        on: { click: () => power(this.#state, action) },
      });
      this.#buttons[action] = button;
      row.append(button);
    }
    row.append(this.#locate);
    this.#operation = new OperationRow(cancel);
    this.root = h(
      "article",
      { class: "node panel", testid: `node-${id}`, "aria-label": `Node ${id}` },
      h("div", { class: "node-head" }, h("h3", { text: id }), this.#role, this.#lock, h("span", { class: "spacer" }), this.#assumed, this.#pill),
      h("div", { class: "node-load" }, h("span", { class: "small muted", text: "Load" }), this.#bar, this.#load),
      h("div", { class: "node-facts" }, this.#celsius, this.#watts, h("span", { class: "spacer" }), this.#age),
      this.#operation.root,
      row,
    );
  }

  /** node: as the service tells it, in `shownOperation` the operation to show, or null, and in
   * `assumed` whether its outlet's state is only what was ordered last. */
  update(node) {
    this.#state = node;
    const [kind, text] = stateOf(node);
    this.#pill.className = `pill ${kind}`;
    setText(this.#pill, text);
    setText(this.#role, node.role);
    setHidden(this.#lock, !node.protected);
    setHidden(this.#assumed, !node.assumed);
    const heard = node.quality === "ok" || node.quality === "stale";
    const load = heard ? node.load : null;
    const celsius = heard ? node.celsius : null;
    this.root.classList.toggle("stale", node.quality === "stale");
    this.root.classList.toggle("is-off", node.power === "off");
    this.root.classList.toggle("located", node.locate);
    setText(this.#load, percent(load));
    setRatio(this.#bar, "--at", load);
    this.#bar.classList.toggle("unknown", load === null);
    setAttribute(this.#bar, "aria-label", load === null ? "Load not known" : `Load ${percent(load)}`);
    setText(this.#celsius, celsius === null ? `${UNKNOWN} °C` : number(celsius, 1, "°C"));
    this.#celsius.className = `num ${celsius >= HOT ? "hot" : celsius >= WARM ? "warm" : ""}`;
    setText(this.#watts, node.watts === null ? `${UNKNOWN} W` : number(node.watts, 1, "W"));
    setText(this.#age, ageText(node));
    this.#operation.update(node.shownOperation);
    setAttribute(this.#locate, "aria-pressed", node.locate);
    for (const [action, button] of Object.entries(this.#buttons)) {
      const why = obstacle(node, action);
      if (button.disabled !== Boolean(why)) button.disabled = Boolean(why);
      setAttribute(button, "title", why || null);
    }
  }
}
