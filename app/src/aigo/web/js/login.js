// Signing in: by password, and by whatever else the server offers.
import { get, post, Problem } from "./api.js";
import { el, find } from "./dom.js";
import { choose, explain, language, LANGUAGES, t, translate } from "./i18n.js";
import { session } from "./session.js";

// Where the user was going before the way to a provider led away from the page.
const PLACE = "aigo.place";

/** Show the form; `why` says what brought the user here. */
export function showLogin(why) {
  askForCode(false);
  void offerOthers();
  find("#app").hidden = true;
  find("#login").hidden = false;
  document.title = `${t("sign_in")} · aigo`;
  find("#login-error").textContent = why ? t(why) : "";
  find("#login [name=name]").focus();
}

/**
 * After a provider has sent the browser back: take the tokens, or say why there are none. Resolves to whether
 * somebody is signed in now.
 */
export async function returned() {
  const [, good, failure] = /^#(?:(signed-in)|sign-in-failed=(\w+))$/.exec(location.hash) ?? [];
  if (!good && !failure) return false;
  history.replaceState(null, "", sessionStorage.getItem(PLACE) ?? "#/");
  sessionStorage.removeItem(PLACE);
  try {
    if (failure) throw new Problem(401, { code: failure, detail: t("login.failed") });
    session.begin(await post("/auth/oidc/token"));
    return true;
  } catch (problem) {
    showLogin();
    find("#login-error").textContent = explain(problem);
    return false;
  }
}

/** Show the field for the code of a second factor, or put it away. */
function askForCode(yes) {
  const code = find("#login-code");
  find("#login-second").hidden = !yes;
  code.required = yes;
  code.value = "";
  if (yes) code.focus();
}

const remember = () => sessionStorage.setItem(PLACE, location.hash || "#/");

/** Offer the other ways to sign in; without an answer there is the form. */
async function offerOthers() {
  const place = find("#login-others");
  const methods = await get("/auth/methods").catch(() => []);
  const others = methods.filter(({ kind }) => kind === "oidc");
  place.replaceChildren(...others.map(({ label, url }) => el("a", { class: "button", href: url, text: label, on: { click: remember } })));
  place.hidden = !others.length;
}

export function start(entered) {
  const form = find("#login form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = find("#login-error");
    const submit = find("button", form);
    error.textContent = "";
    submit.disabled = true;
    try {
      const { name, password, code } = form.elements;
      const credentials = { name: name.value, password: password.value, code: code.value.trim() || null };
      const tokens = await post("/auth/login", credentials);
      askForCode(false);
      form.reset();
      session.begin(tokens);
      entered();
    } catch (problem) {
      if (problem.code === "second_factor_required") {
        askForCode(true);
        return;
      }
      const wrong = problem.status === 401 && problem.code !== "second_factor_wrong";
      error.textContent = wrong ? t("login.wrong") : explain(problem);
      const { password, code } = form.elements;
      (problem.code === "second_factor_wrong" ? code : password).select();
    } finally {
      submit.disabled = false;
    }
  });
  const languages = find("#login-language");
  languages.append(...Object.entries(LANGUAGES).map(([value, text]) => el("option", { value, text, lang: value })));
  languages.value = language();
  languages.addEventListener("change", () => {
    choose(languages.value);
    find("#login-error").textContent = "";
    document.title = `${t("sign_in")} · aigo`;
  });
  addEventListener("aigo:language", () => (languages.value = language()));
  translate();
}
