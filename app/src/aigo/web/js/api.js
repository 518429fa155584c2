// The server's API: requests with the user's token, refusals as Problems, a token renewed when it has run out.
import { session } from "./session.js";

const BASE = "/api/v1";
const RETRIED = new Set([429, 502, 503, 504]);

/** A refusal: `status`, a stable `code`, a sentence, and the seconds after which trying again makes sense. */
export class Problem extends Error {
  constructor(status, { code = "", detail = "", title = "" }, retryAfter) {
    super(detail || title || `HTTP ${status}`);
    Object.assign(this, { status, code: code || { 429: "too_many_requests", 413: "too_large", 0: "offline" }[status] || "", retryAfter });
  }
  /** Whether the same request may well succeed a little later. */
  get passing() {
    return this.status === 0 || RETRIED.has(this.status);
  }
}

async function attempt(method, path, { body, headers = {}, signal } = {}) {
  const form = body instanceof FormData || body instanceof Blob;
  try {
    return await fetch(BASE + path, {
      method,
      signal,
      headers: {
        ...(body === undefined || form ? {} : { "Content-Type": "application/json" }),
        ...(session.access ? { Authorization: `Bearer ${session.access}` } : {}),
        ...headers,
      },
      body: body === undefined || form ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, {});
  }
}

let renewing = null;
/** Renew the token, once however many requests ask for it; return whether there is a new one. */
function renew() {
  renewing ??= (async () => {
    const response = await attempt("POST", "/auth/refresh", { body: { refresh_token: session.refresh } });
    // A server that is away or busy says nothing about the token.
    if (RETRIED.has(response.status)) throw await refusal(response);
    if (!response.ok) return false;
    session.begin(await response.json());
    return true;
  })().finally(() => (renewing = null));
  return renewing;
}

/** Get a new token although the old one is good: what the user may do has changed. */
export const renewed = () => renew();

/** Send a request; :throws Problem: for every answer that isn't a success. */
export async function request(method, path, options = {}) {
  const used = session.access;
  let response = await attempt(method, path, options);
  if (response.status === 401 && used) {
    const again = session.access !== used || (session.refresh && (await renew()));
    if (again && session.access) response = await attempt(method, path, options);
    if (response.status === 401) session.end("expired");
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function refusal(response) {
  const document = await response.json().catch(() => ({ title: response.statusText }));
  return new Problem(response.status, document, Number(response.headers.get("Retry-After")) || null);
}

export const get = async (path, options) => (await request("GET", path, options)).json();
export const post = async (path, body, options) => {
  const response = await request("POST", path, { body, ...options });
  return response.status === 204 ? null : response.json();
};

/** Wait so long, or until the network is said to be back. */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    signal?.addEventListener("abort", done);
  });
}

/** Do something that may be repeated; while it fails in a passing way, tell `waiting` and do it again, for a minute. */
export async function persist(action, waiting) {
  const deadline = Date.now() + 60_000;
  for (let delay = 500; ; delay = Math.min(delay * 2, 5_000)) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Problem) || !error.passing || Date.now() + delay > deadline) throw error;
      waiting(error);
      await pause(Math.max(delay, (error.retryAfter ?? 0) * 1000));
    }
  }
}

/** An identifier that nobody else makes; also where the page isn't in a secure context. */
export function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
