// Boxes that ask: what will happen is said before it happens.

import { Problem, signIn } from "./api.js";
import { byId, setHidden, setText } from "./dom.js";
import { duration, sentence } from "./format.js";

/** What each action does, in the order in which it does it. */
function explain(node, action, force, minOffS) {
  const feed = `its feed (${node.outlet})`;
  const dead = minOffS === null ? "until its capacitors have drained" : `for ${duration(minOffS)}`;
  const halt = `${node.id} is asked to halt; when its draw has fallen, ${feed} is cut`;
  const texts = {
    on: force
      ? `The feed of ${node.id} (${node.outlet}) is switched on when the rail has room for its inrush, however little charge is left and whatever it needs first.`
      : `When the rail has room, the feed of ${node.id} (${node.outlet}) is switched on, and it boots.`,
    off: force ? `${node.id} is not asked: ${feed} is cut at once and stays off.` : `${halt} and stays off.`,
    cycle: force
      ? `${node.id} is not asked: ${feed} is cut at once, stays dead ${dead}, and is switched on again.`
      : `${halt}, stays dead ${dead}, and is switched on again.`,
    reset: force
      ? `${node.id} is not asked: ${feed} is cut at once, stays dead ${dead}, and is switched on again.`
      : `${node.id} is asked to reboot. Its feed stays on.`,
  };
  return texts[action];
}

const riskOf = (node, action) =>
  action === "on"
    ? `The charge may not last for an orderly shutdown with ${node.id} on.`
    : `${node.id} gets no chance to halt: what it has not written is lost, and its file system may be damaged. The journal records it as a risk.`;

/** Opens the box; `act(form)` does it, and the box stays open with the reason if it fails. */
function ask({ title, text, ok, danger, force, riskText, act }) {
  const box = byId("confirm");
  const form = box.querySelector("form");
  const tick = byId("confirm-force");
  const error = byId("confirm-error");
  const button = byId("confirm-ok");
  setText(byId("confirm-title"), title);
  setText(button, ok);
  setHidden(byId("confirm-force-row"), !force);
  setText(byId("confirm-force-label"), force ?? "");
  setText(byId("confirm-risk"), riskText ?? "");
  setHidden(error, true);
  tick.checked = false;
  byId("confirm-reason").value = "";
  button.disabled = false;

  const show = () => {
    setText(byId("confirm-text"), text(tick.checked));
    setHidden(byId("confirm-risk"), !tick.checked);
    button.className = danger || tick.checked ? "danger solid" : "primary";
  };
  tick.onchange = show;
  show();
  byId("confirm-cancel").onclick = () => box.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await act({ force: tick.checked, reason: byId("confirm-reason").value.trim() });
      box.close();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(error, problem.text);
      setHidden(error, false);
    } finally {
      button.disabled = false;
    }
  };
  box.showModal();
  byId("confirm-cancel").focus();
}

export function confirmPower(node, action, minOffS, act) {
  ask({
    title: `${sentence(action)} ${node.id}?`,
    text: (force) => explain(node, action, force, minOffS),
    ok: `${sentence(action)} ${node.id}`,
    danger: false,
    force: action === "on" ? "Force: even if the charge is too low" : "Force: cut the feed without waiting for the halt",
    riskText: riskOf(node, action),
    act,
  });
}

export function confirmShutdown(state, act) {
  const stages = state.stages.join(", then ");
  ask({
    title: "Shut the rig down?",
    text: () =>
      `The nodes are asked to halt in order (${stages || "all at once"}), and each feed is cut when its node's draw has fallen. ` +
      `This takes about ${duration(state.needed_s)}. The head stays on.`,
    ok: "Shut down",
    danger: true,
    act,
  });
}

/** Asks for a token; tells whether somebody signed in. */
export function askForToken(why = "") {
  const box = byId("token-box");
  const form = box.querySelector("form");
  const field = byId("token");
  const error = byId("token-error");
  field.value = "";
  setText(error, why);
  setHidden(error, !why);
  return new Promise((resolve) => {
    let done = false;
    byId("token-cancel").onclick = () => box.close();
    box.onclose = () => resolve(done);
    form.onsubmit = async (event) => {
      event.preventDefault();
      byId("token-ok").disabled = true;
      try {
        await signIn(field.value.trim());
        done = true;
        box.close();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        setText(error, problem.text);
        setHidden(error, false);
        field.select();
      } finally {
        byId("token-ok").disabled = false;
      }
    };
    box.showModal();
    field.focus();
  });
}
