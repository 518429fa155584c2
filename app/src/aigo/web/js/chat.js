// The chat: shows a conversation, sends what is written, follows what the agent does, goes on after a break.
import { get, pause, persist, post, Problem, request, unique } from "./api.js";
import { conversations } from "./conversations.js";
import { announce, button, el, find } from "./dom.js";
import { explain, t } from "./i18n.js";
import { PENDING } from "./session.js";
import { follow } from "./stream.js";
import { Turn } from "./turn.js";

const PAGE = 100;
const TITLE = 60;
const SPOKEN = 600;
const NEAR_END = 80;
const log = () => find("#messages");
const prompt = () => find("#prompt");

/** What has been written but not yet been taken by the server, by conversation: it survives a reload. */
const pending = {
  all: () => JSON.parse(sessionStorage.getItem(PENDING) ?? "{}"),
  get: (id) => pending.all()[id],
  set(id, value) {
    sessionStorage.setItem(PENDING, JSON.stringify({ ...pending.all(), [id]: value }));
  },
};
const draft = (id) => `aigo.draft.${id ?? "new"}`;

let view = { id: null, title: "", signal: new AbortController().signal };
let leave = new AbortController();
let running = null;
let atEnd = true;

/** Show a conversation, or an empty page for a new one. */
export async function open(id) {
  close();
  leave = new AbortController();
  const own = (view = { id, title: "", signal: leave.signal });
  conversations.current = id;
  conversations.draw();
  log().replaceChildren();
  prompt().value = sessionStorage.getItem(draft(id)) ?? "";
  setRunning(null);
  atEnd = true;
  if (!id) {
    heading(t("new"));
    log().append(welcome());
    return;
  }
  heading("");
  log().append(el("p", { class: "note", text: t("loading") }));
  const [row, messages] = await Promise.all([
    get(`/conversations/${id}`, { signal: own.signal }),
    get(`/conversations/${id}/messages?limit=${PAGE}`, { signal: own.signal }),
  ]);
  heading(row.title);
  log().replaceChildren();
  show(messages);
  scroll(true);
  await goOn(messages);
}

/** Leave the conversation; a run goes on without its reader. */
export function close() {
  leave.abort();
  banner("");
}

export const currentTitle = () => view.title;
export const currentId = () => view.id;
export const isRunning = () => running !== null;

export function heading(title) {
  view.title = title;
  find("#title").textContent = title || t("loading");
  document.title = title ? `${title} · aigo` : "aigo";
  find("#actions").hidden = !view.id;
}

function show(messages) {
  const turns = [];
  for (const message of messages) {
    turns.push(Turn.stored(message, () => follow(message.run_id, { signal: view.signal, connected: () => undefined })).node);
    const answered = messages.some((other) => other.role === "assistant" && other.run_id === message.run_id);
    if (message.role === "user" && message.run && message.run.status !== "running" && !answered) {
      const unanswered = new Turn("assistant");
      unanswered.finish(message.run);
      turns.push(unanswered.node);
    }
  }
  if (messages.length === PAGE) turns.unshift(earlier(messages[0].id));
  log().prepend(...turns);
}

function earlier(before) {
  const more = button(null, t("earlier"), async () => {
    const own = view;
    const messages = await get(`/conversations/${own.id}/messages?limit=${PAGE}&before=${before}`, { signal: own.signal });
    more.remove();
    const height = log().scrollHeight;
    show(messages);
    log().scrollTop += log().scrollHeight - height;
  });
  return more;
}

/** After loading: follow the run that is going on, or deliver what didn't get through. */
async function goOn(messages) {
  const last = messages.at(-1);
  const waiting = pending.get(view.id);
  const own = view;
  if (last?.role === "user" && last.run?.status === "running") await watch(last.run_id, answer());
  if (own.signal.aborted) return;
  if (waiting) await deliver(waiting, new Set(messages.map((message) => message.run_id)));
  else if (last?.run?.error?.retryable) offerRetry(messages.findLast((message) => message.role === "user")?.content);
}

function answer() {
  const turn = new Turn("assistant");
  turn.busy(true);
  add(turn);
  return turn;
}

function add(turn) {
  find(".welcome", log())?.remove();
  log().append(turn.node);
  scroll(true);
}

/** Send a message. */
export async function send(text) {
  if (running !== null || !text.trim()) return;
  const own = view;
  setRunning("");
  try {
    if (!own.id) {
      const title = text.trim().split("\n")[0].slice(0, TITLE);
      const row = await persist(() => post("/conversations", { title }), notSent);
      if (own.signal.aborted) return;
      sessionStorage.removeItem(draft(null));
      own.id = conversations.current = row.id;
      history.replaceState(null, "", `#/c/${row.id}`);
      heading(row.title);
      conversations.add(row);
    }
    prompt().value = "";
    sessionStorage.removeItem(draft(own.id));
    const strategy = find("#plan").ariaPressed === "true" ? "plan" : null;
    await deliver({ text, key: unique(), strategy });
  } catch (error) {
    banner(explain(error));
    setRunning(null);
  }
}

/** Hand a message over, once however often it is tried, and follow the answer. The `known` runs are shown already. */
async function deliver(message, known) {
  const { text, key, strategy } = message;
  const own = view;
  const question = new Turn("user");
  question.say(text);
  add(question);
  const turn = answer();
  setRunning("");
  pending.set(own.id, message);
  try {
    const headers = { "Idempotency-Key": key };
    const body = { input: text, strategy };
    const run = await persist(() => post(`/conversations/${own.id}/runs`, body, { headers }), notSent);
    pending.set(own.id, undefined);
    if (own.signal.aborted) return;
    banner("");
    if (known?.has(run.id)) {
      for (const node of [question.node, turn.node]) node.remove();
      setRunning(null);
    } else await watch(run.id, turn);
  } catch (error) {
    if (own.signal.aborted) return;
    banner("");
    setRunning(null);
    if (error instanceof Problem && error.status === 401) return;
    const again = () => {
      for (const node of [question.node, turn.node]) node.remove();
      return deliver(message);
    };
    const passing = error instanceof Problem && error.passing;
    if (!passing) pending.set(own.id, undefined);
    turn.refuse(error, passing ? button("retry", t("send.again"), again) : null);
    if (!passing && !prompt().value) prompt().value = text;
    announce(explain(error));
  }
}

function notSent() {
  banner(t("connection.sending"));
}

/** Follow a run to its end. */
async function watch(run, turn) {
  const own = view;
  setRunning(run);
  announce(t("answering"));
  const connected = (yes) => !own.signal.aborted && banner(yes ? "" : t("connection.lost"));
  try {
    for await (const event of follow(run, { signal: own.signal, connected })) {
      if (own.signal.aborted) return;
      turn.apply(event);
      if (event.type === "tool.call") announce(t("calling", { tool: event.data.name }));
      if (event.type === "run.completed") announce(turn.text.slice(0, SPOKEN));
      if (event.type === "run.failed") {
        announce(event.data.status === "cancelled" ? t("stopped") : explain(event.data.error));
        if (event.data.error?.retryable) offerRetry(await question(run), turn);
      }
      requestAnimationFrame(() => scroll());
    }
  } catch (error) {
    if (!own.signal.aborted && error.status !== 401) turn.refuse(error);
  }
  if (!own.signal.aborted) setRunning(null);
}

const question = async (run) => (await get(`/runs/${run}`)).input;

function offerRetry(text, turn) {
  if (!text) return;
  const again = button("retry", t("ask.again"), () => {
    again.remove();
    void send(text);
  });
  if (turn) turn.offer(again);
  else log().lastElementChild?.querySelector(".end")?.append(again);
}

/** Ask for the run to be stopped. */
export async function stop() {
  if (!running) return;
  const run = running;
  find("#stop").disabled = true;
  try {
    await persist(() => request("POST", `/runs/${run}/cancel`), () => undefined);
  } catch (error) {
    banner(explain(error));
  } finally {
    find("#stop").disabled = false;
  }
}

function setRunning(run) {
  const focused = [find("#send"), find("#stop")].includes(document.activeElement);
  running = run;
  find("#send").hidden = run !== null;
  find("#stop").hidden = run === null;
  if (focused) prompt().focus();
}

export function banner(text) {
  const place = find("#banner");
  place.hidden = !text;
  place.textContent = text;
}

function scroll(force = false) {
  if (force || atEnd) log().scrollTop = log().scrollHeight;
}

function welcome() {
  const examples = ["example.1", "example.2", "example.3"].map((key) => button(null, t(key), () => send(t(key))));
  return el(
    "div", { class: "welcome" },
    el("h2", { text: t("welcome") }), el("p", { class: "note", text: t("welcome.more") }), el("div", { class: "examples" }, ...examples),
  );
}

/** Make a conversation's file by a job, wait for it, and let it be saved. */
export async function exportAs(format) {
  let job = await post("/jobs", { kind: "conversation.export", conversation_id: view.id, format });
  const deadline = Date.now() + 60_000;
  while (!["completed", "failed"].includes(job.status)) {
    if (Date.now() > deadline) throw new Problem(0, { code: "slow" });
    await pause(400);
    job = await get(`/jobs/${job.id}`);
  }
  if (job.status === "failed") throw new Problem(500, { code: "job_failed", detail: job.error });
  const url = URL.createObjectURL(await (await request("GET", `/jobs/${job.id}/result`)).blob());
  const name = `${view.title.replace(/[^\p{L}\p{N} _-]/gu, "").trim() || "aigo"}.${format === "markdown" ? "md" : "json"}`;
  el("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}

/** Wire up the form and the place where messages stand. */
export function start() {
  const form = find("#ask");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(prompt().value);
  });
  prompt().addEventListener("keydown", (event) => {
    // An input method's Enter chooses a word; it doesn't send.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (running === null) form.requestSubmit();
    }
  });
  prompt().addEventListener("input", () => sessionStorage.setItem(draft(view.id), prompt().value));
  find("#stop").addEventListener("click", stop);
  find("#plan").addEventListener("click", ({ currentTarget }) => {
    currentTarget.ariaPressed = String(currentTarget.ariaPressed !== "true");
  });
  find("#latest").addEventListener("click", () => scroll(true));
  log().addEventListener("scroll", () => {
    atEnd = log().scrollHeight - log().scrollTop - log().clientHeight < NEAR_END;
    find("#latest").hidden = atEnd;
  });
}
