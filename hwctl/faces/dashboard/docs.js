// Renders /openapi.json. Nothing is loaded from elsewhere.

import { byId, h } from "./dom.js";

const name = (ref) => ref.split("/").pop();

function typeOf(schema) {
  if (!schema || !Object.keys(schema).length) return h("span", { class: "muted", text: "anything" });
  if (schema.$ref) return h("a", { href: `#${name(schema.$ref)}`, text: name(schema.$ref) });
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return h("span", {}, ...several.flatMap((one, index) => (index ? [" or ", typeOf(one)] : [typeOf(one)])));
  if (schema.enum) return h("span", { text: schema.enum.map((one) => JSON.stringify(one)).join(", ") });
  if (schema.const !== undefined) return h("span", { text: JSON.stringify(schema.const) });
  if (schema.type === "array") return h("span", {}, "list of ", schema.items ? typeOf(schema.items) : "anything");
  const limits = [
    ["minimum", "≥"],
    ["exclusiveMinimum", ">"],
    ["maximum", "≤"],
    ["maxLength", "at most", " characters"],
  ].flatMap(([key, sign, unit = ""]) => (schema[key] === undefined ? [] : [`${sign} ${schema[key]}${unit}`]));
  const type = [].concat(schema.type ?? "object").join(" or ") + (schema.format ? ` (${schema.format})` : "");
  return h("span", { text: [type, ...limits].join(", ") });
}

function table(properties, required = []) {
  const rows = Object.entries(properties).map(([key, schema]) =>
    h(
      "tr",
      {},
      h("td", {}, h("code", { text: key }), required.includes(key) ? "" : h("span", { class: "muted small", text: " optional" })),
      h("td", {}, typeOf(schema), schema.default === undefined ? "" : h("span", { class: "muted", text: `, default ${JSON.stringify(schema.default)}` })),
      h("td", { class: "muted", text: schema.description ?? "" }),
    ),
  );
  return h("table", {}, h("tbody", {}, ...rows));
}

function operation(path, method, said) {
  const body = h("div");
  const parameters = said.parameters ?? [];
  if (parameters.length) {
    const properties = Object.fromEntries(parameters.map((one) => [one.name, { ...one.schema, description: one.description ?? one.schema.description ?? `in the ${one.in}` }]));
    body.append(h("h4", { text: "Parameters" }), table(properties, parameters.filter((one) => one.required).map((one) => one.name)));
  }
  const taken = said.requestBody?.content?.["application/json"]?.schema;
  if (taken) body.append(h("h4", { text: "Body" }), typeOf(taken));
  body.append(h("h4", { text: "Answers" }));
  for (const [status, answer] of Object.entries(said.responses)) {
    const [media, content] = Object.entries(answer.content ?? {})[0] ?? ["", null];
    body.append(h("p", {}, h("code", { text: status }), ` ${answer.description} `, content?.schema ? typeOf(content.schema) : "", h("span", { class: "muted small", text: ` ${media}` })));
  }
  const scope = said["x-scope"] ?? "read";
  return h(
    "details",
    {},
    h(
      "summary",
      {},
      h("span", { class: `method ${method}`, text: method.toUpperCase() }),
      h("code", { text: path }),
      h("span", { class: "muted", text: said.summary ?? "" }),
      h("span", { class: "spacer" }),
      scope === "none" ? "" : h("span", { class: "pill", text: scope }),
    ),
    body,
  );
}

const response = await fetch("/openapi.json");
const openapi = await response.json();
for (const [path, methods] of Object.entries(openapi.paths)) {
  for (const [method, said] of Object.entries(methods)) byId("paths").append(operation(path, method, said));
}
byId("paths").removeAttribute("aria-busy");
for (const [key, schema] of Object.entries(openapi.components.schemas)) {
  byId("schemas").append(
    h("section", { id: key }, h("h2", { text: key }), h("p", { text: schema.description ?? "" }), schema.properties ? table(schema.properties, schema.required) : typeOf(schema)),
  );
}
