// Requests to hwctl. A 401 asks for a token once, then the request is sent again.

let askForToken = async () => false;

/** `ask` shows the sign-in box and tells whether somebody signed in. */
export function whenUnauthorised(ask) {
  askForToken = ask;
}

/** An error as the service explains it. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `HTTP ${status}`);
    this.status = status;
    this.hint = document.hint || "";
    this.operation = document.operation;
  }

  /** Detail and hint, as one text. */
  get text() {
    const said = this.message.replace(/\.?$/, ".");
    return this.hint ? `${said} ${this.hint.charAt(0).toUpperCase()}${this.hint.slice(1).replace(/\.?$/, ".")}` : said;
  }
}

async function once(method, path, body, headers) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new Problem(0, { detail: "hwctl does not answer", hint: "see whether the service runs and this machine reaches it" });
  }
  const text = await response.text();
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    document = { detail: `the answer is no JSON (HTTP ${response.status})` };
  }
  if (!response.ok) throw new Problem(response.status, document ?? {});
  return document;
}

export const get = (path) => once("GET", path);

/** A command. Asks to sign in if need be. */
export async function send(method, path, body, headers = {}) {
  try {
    return await once(method, path, body, headers);
  } catch (error) {
    if (error.status !== 401 || !(await askForToken(error))) throw error;
    return once(method, path, body, headers);
  }
}

/** Without asking: for the sign-in itself. */
export const signIn = (token) => once("POST", "/session", { token });
export const signOut = () => once("DELETE", "/session");
export const whoAmI = () => once("GET", "/session");
