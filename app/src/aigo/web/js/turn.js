// One message on the page: what was said, the tools that were called on the way, and how it ended.
import { codeBlock, copyText, Markdown, markdown } from "./markdown.js";
import { button, el, icon } from "./dom.js";
import { explain, t } from "./i18n.js";

const SHORT = 80;

/** A tool call: closed it is one line, open it shows the arguments and the result. */
class Step {
  constructor({ name, arguments: given }) {
    this.done = false;
    const values = Object.values(given ?? {}).map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
    this._state = el("span", { class: "state", text: t("step.running") });
    this._body = el("div", {}, codeBlock(JSON.stringify(given ?? {}, null, 2), t("step.arguments")));
    this.node = el(
      "details", { class: "step", dataset: { tool: name } },
      el(
        "summary", {},
        icon("tool"), el("span", { class: "name", text: name }),
        el("code", { text: values.join(", ").slice(0, SHORT) }), this._state,
      ),
      this._body,
    );
  }

  finish(result) {
    this.done = true;
    this.node.classList.add("done");
    this._state.replaceChildren(icon("check"), el("span", { class: "unseen", text: t("step.done") }));
    this._body.append(codeBlock(result, t("step.result")));
  }

  leave() {
    if (!this.done) this._state.textContent = t("step.unfinished");
  }
}

/** What the agent means to do, step by step; a step that is done shows its result. */
class Plan {
  constructor(steps) {
    this._items = steps.map((text) => el("li", {}, el("span", { text })));
    this.node = el("section", { class: "plan" }, el("h3", { text: t("plan") }), el("ol", {}, ...this._items));
  }

  finish({ number, result }) {
    const item = this._items[number - 1];
    if (!item) return;
    item.classList.add("done");
    item.append(el("details", {}, el("summary", { text: t("step.result") }), markdown(result)));
  }
}

/** The passages that the answer cites, by their numbers in it. */
function citations(sources) {
  return el(
    "section", { class: "sources" }, el("h3", { text: t("sources") }),
    el("ol", {}, ...sources.map(({ number, name, page, excerpt }) =>
      el("li", { value: number }, el(
        "details", {}, el("summary", { text: page ? t("sources.page", { name, page }) : name }), el("blockquote", { text: excerpt }),
      )))),
  );
}

export class Turn {
  constructor(role) {
    this.role = role;
    this._steps = new Map();
    this._body = el("div", { class: "body" });
    this._end = el("div", { class: "end" });
    this.node = el(
      "article", { class: `turn ${role}` },
      el("h2", { class: "unseen", text: t(role === "user" ? "you" : "assistant") }), this._body, this._end,
    );
  }

  /** A message as it is stored; `steps` loads the events of its run. */
  static stored({ role, content, run }, steps) {
    const turn = new Turn(role);
    turn.say(content);
    turn._text?.draw();
    if (role === "assistant") {
      if (run && run.tool_calls !== 0) turn._body.prepend(earlierSteps(run.tool_calls, steps));
      turn.finish(run ?? {});
    }
    return turn;
  }

  get text() {
    return [...this._body.children].map((part) => part.markdown?.text ?? "").join("");
  }

  say(text) {
    if (this.role === "user") {
      this._body.append(text);
      return;
    }
    if (!this._text) {
      this._text = new Markdown();
      this._text.node.markdown = this._text;
      this._body.append(this._text.node);
    }
    this._text.append(text);
  }

  /** Let an event of the run be seen. */
  apply({ type, data }) {
    if (type === "token") this.say(data.text);
    else if (type === "tool.call") {
      const step = new Step(data);
      this._steps.set(data.id, step);
      this._body.append(step.node);
      this._text = null;
    } else if (type === "plan") {
      this._plan = new Plan(data.steps);
      this._body.append(this._plan.node);
      this._text = null;
    } else if (type === "plan.step") this._plan?.finish(data);
    else if (type === "tool.result") this._steps.get(data.id)?.finish(data.result);
    else if (type === "run.completed" || type === "run.failed") this.finish(data);
  }

  busy(yes) {
    this.node.setAttribute("aria-busy", String(yes));
  }

  /** Say how it ended. */
  finish({ status, error, model, sources }) {
    this._text?.draw();
    if (sources?.length) this._body.append(citations(sources));
    for (const step of this._steps.values()) step.leave();
    this.busy(false);
    this._end.replaceChildren();
    if (status === "cancelled") this._end.append(el("span", { class: "note", text: t("stopped") }));
    else if (error) this.refuse(error);
    if (this.text && navigator.clipboard) {
      this._end.append(button("copy", t("copy"), () => copyText(this.text), { quiet: true }));
    }
    if (model) this._end.append(el("span", { class: "note", text: model }));
  }

  /** Say what went wrong, and offer to do something about it. */
  refuse(error, ...actions) {
    this.busy(false);
    this._end.append(el("p", { class: "notice" }, icon("alert"), el("span", { text: explain(error) })), ...actions);
  }

  offer(...actions) {
    this._end.append(...actions);
  }
}

/** The steps of a stored answer, fetched when somebody wants to see them. */
function earlierSteps(count, load) {
  const place = el("div", { class: "steps" });
  const words = count ? t("steps", { count }) : t("steps.some");
  const details = el("details", { class: "step done" }, el("summary", {}, icon("tool"), el("span", { text: words })), place);
  details.addEventListener("toggle", async () => {
    if (!details.open || place.hasChildNodes()) return;
    const replay = new Turn("assistant");
    place.append(el("p", { class: "note", text: t("loading") }));
    try {
      for await (const event of load()) if (/^(tool\.|plan)/.test(event.type)) replay.apply(event);
      place.replaceChildren(...replay._body.childNodes);
      if (!place.hasChildNodes()) place.append(el("p", { class: "note", text: t("steps.none") }));
    } catch (error) {
      place.replaceChildren(el("p", { class: "notice", text: explain(error) }));
    }
  });
  return details;
}
