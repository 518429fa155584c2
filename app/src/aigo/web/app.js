// The chat page. Text from people and models only ever goes into the page as text, never as markup.
const $ = (selector) => document.querySelector(selector);
const store = sessionStorage;
const RETRY_MS = 500;
let conversation = null;
let running = null;

async function api(method, path, body, headers = {}) {
  const response = await fetch(`/api/v1${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(store.token ? { Authorization: `Bearer ${store.token}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  if (response.status === 401 && store.token) signedOut();
  throw new Error(problem.detail);
}

function signedOut() {
  delete store.token;
  delete store.conversation;
  conversation = null;
  $("#chat").hidden = true;
  $("#login").hidden = false;
  $("#login input").focus();
}

async function signedIn() {
  const user = await (await api("GET", "/auth/me")).json();
  $("#who").textContent = user.display_name;
  $("#login").hidden = true;
  $("#chat").hidden = false;
  $("#messages").replaceChildren();
  conversation = store.conversation ?? null;
  if (conversation) {
    const messages = await (await api("GET", `/conversations/${conversation}/messages`)).json();
    for (const message of messages) add(message.role, message.content);
  }
  $("#ask textarea").focus();
}

function add(role, text = "") {
  const message = document.createElement("div");
  message.className = `message ${role}`;
  $("#messages").append(message);
  if (text) say(message, text);
  return message;
}

function say(message, text) {
  if (!message.lastElementChild?.classList.contains("text")) {
    message.append(Object.assign(document.createElement("span"), { className: "text" }));
  }
  message.lastElementChild.append(text);
  $("#messages").scrollTop = $("#messages").scrollHeight;
}

function tool(message, text) {
  message.append(Object.assign(document.createElement("span"), { className: "tool", textContent: text }));
}

const handlers = {
  token: (message, data) => say(message, data.text),
  "tool.call": (message, data) => tool(message, `${data.name}(${JSON.stringify(data.arguments)})`),
  "tool.result": (message, data) => tool(message, `→ ${data.result}`),
  "run.failed": (message, data) => tool(message, data.error.message),
};

// Reads the stream of a run; when the connection breaks, goes on after the last event that came.
async function follow(run, message) {
  let last = 0;
  for (;;) {
    try {
      const response = await api("GET", `/runs/${run}/events`, undefined, { "Last-Event-ID": String(last) });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (buffer + value).split("\n\n");
        buffer = blocks.pop();
        for (const block of blocks) {
          const line = block.split("\n").find((part) => part.startsWith("data: "));
          if (!line) continue;
          const event = JSON.parse(line.slice(6));
          last = event.sequence;
          handlers[event.type]?.(message, event.data);
          if (event.type === "run.completed" || event.type === "run.failed") return;
        }
      }
    } catch (error) {
      if (!store.token) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

$("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  form.querySelector(".error").textContent = "";
  try {
    const body = { name: form.elements.name.value, password: form.elements.password.value };
    store.token = (await (await api("POST", "/auth/login", body)).json()).access_token;
    form.reset();
    await signedIn();
  } catch (error) {
    form.querySelector(".error").textContent = error.message;
  }
});

$("#ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.input;
  const text = input.value.trim();
  if (!text || running) return;
  input.value = "";
  add("user", text);
  const message = add("assistant");
  $("#send").disabled = true;
  try {
    if (!conversation) {
      const body = { title: text.slice(0, 80) };
      conversation = (await (await api("POST", "/conversations", body)).json()).id;
      store.conversation = conversation;
    }
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    const run = await (await api("POST", `/conversations/${conversation}/runs`, { input: text }, headers)).json();
    running = run.id;
    $("#stop").hidden = false;
    await follow(run.id, message);
  } catch (error) {
    tool(message, error.message);
  } finally {
    running = null;
    $("#stop").hidden = true;
    $("#send").disabled = false;
  }
});

$("#ask textarea").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("#ask").requestSubmit();
  }
});

$("#stop").addEventListener("click", () => running && api("POST", `/runs/${running}/cancel`));
$("#new").addEventListener("click", () => {
  delete store.conversation;
  conversation = null;
  $("#messages").replaceChildren();
  $("#ask textarea").focus();
});
$("#logout").addEventListener("click", async () => {
  await api("POST", "/auth/logout").catch(() => undefined);
  signedOut();
});

if (store.token) signedIn().catch(signedOut);
else signedOut();
