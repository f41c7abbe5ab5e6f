// A line of what was, with gaps where nothing was known.

import { h, setText, svg } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 44;

export class Spark {
  #line = svg("path", { class: "line", "vector-effect": "non-scaling-stroke" });
  #area = svg("path", { class: "area" });
  #range = h("span", { class: "muted small" });

  constructor(label, describe) {
    this.describe = describe;
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, this.#area, this.#line);
    this.label = label;
    this.root = h("div", { class: "spark" }, h("div", { class: "spark-head" }, h("span", { class: "small", text: label }), this.#range), this.picture);
  }

  /** points: [[moment, value|null], ...]; `floor` and `ceiling` fix the scale where they are numbers. */
  update(points, floor = null, ceiling = null) {
    const values = points.map(([, value]) => value).filter((value) => value !== null);
    if (!values.length) {
      this.#line.setAttribute("d", "");
      this.#area.setAttribute("d", "");
      setText(this.#range, "nothing known yet");
      this.picture.setAttribute("aria-label", `${this.label}: nothing known yet`);
      return;
    }
    const least = Math.min(...values);
    const most = Math.max(...values);
    const low = floor ?? least;
    const high = Math.max(ceiling ?? most, low + 1e-6);
    const x = (index) => (points.length > 1 ? (index / (points.length - 1)) * WIDTH : WIDTH);
    const y = (value) => HEIGHT - 3 - ((value - low) / (high - low)) * (HEIGHT - 6);
    let line = "";
    let area = "";
    let start = null;
    points.forEach(([, value], index) => {
      if (value !== null) {
        if (start === null) {
          start = index;
          area += `M${x(index).toFixed(1)} ${HEIGHT}`;
        }
        line += `${start === index ? "M" : "L"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
        area += `L${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      }
      if (start !== null && (value === null || index === points.length - 1)) {
        area += `L${x(value === null ? index - 1 : index).toFixed(1)} ${HEIGHT}Z`;
        start = null;
      }
    });
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", area);
    const text = this.describe(least, most);
    setText(this.#range, text);
    this.picture.setAttribute("aria-label", `${this.label} over the last hour: ${text}`);
  }
}
