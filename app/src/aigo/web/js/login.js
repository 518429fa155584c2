// Signing in: by password, and by whatever else the server offers.
import { get, post } from "./api.js";
import { el, find } from "./dom.js";
import { choose, explain, language, LANGUAGES, t, translate } from "./i18n.js";
import { session } from "./session.js";

/** Show the form; `why` says what brought the user here. */
export function showLogin(why) {
  find("#app").hidden = true;
  find("#login").hidden = false;
  document.title = `${t("sign_in")} · aigo`;
  find("#login-error").textContent = why ? t(why) : "";
  find("#login [name=name]").focus();
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
      const { name, password } = form.elements;
      const tokens = await post("/auth/login", { name: name.value, password: password.value });
      form.reset();
      session.begin(tokens);
      entered();
    } catch (problem) {
      error.textContent = problem.status === 401 ? t("login.wrong") : explain(problem);
      form.elements.password.select();
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
