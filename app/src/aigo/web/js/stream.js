// The events of a run as server-sent events, each once and in order, across lost connections.
import { pause, Problem, request } from "./api.js";

// The server says something every 15 seconds; a connection that doesn't is dead without having been closed.
const SILENCE_MS = 40_000;
const LAST = new Set(["run.completed", "run.failed"]);

async function* eventsOf(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
        if (data.length) yield JSON.parse(data.join("\n"));
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/**
 * Follow a run until its last event. `connected` is told whenever the connection is there (true) or lost (false).
 * :throws Problem: when the run isn't there, or not for this user.
 */
export async function* follow(run, { after = 0, signal, connected }) {
  let delay = 500;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop);
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE_MS);
    };
    try {
      alive();
      const headers = { "Last-Event-ID": String(after) };
      const response = await request("GET", `/runs/${run}/events`, { headers, signal: attempt.signal });
      connected(true);
      for await (const event of eventsOf(response.body, alive)) {
        after = event.sequence;
        delay = 500;
        yield event;
        if (LAST.has(event.type)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && !error.passing && error.status < 500) throw error;
    } finally {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", stop);
      // Also when the reader of these events stops reading them.
      attempt.abort();
    }
    connected(false);
    await pause(delay, signal);
    delay = Math.min(delay * 2, 5_000);
  }
}
