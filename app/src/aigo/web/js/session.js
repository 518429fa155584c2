// Who is signed in here. The tokens live as long as the tab does; nothing about them is in an address or a cookie.

const KEPT = "aigo.session";
export const PENDING = "aigo.pending";

class Session extends EventTarget {
  #kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  // A tab that was duplicated has the same session, and a refresh token is good once: what one gets, the others take.
  #others = new BroadcastChannel(KEPT);

  constructor() {
    super();
    this.#others.onmessage = ({ data }) => {
      if (!this.#kept || data.instead !== this.refresh) return;
      if (data.tokens) this.#keep(data.tokens);
      else this.#forget(data.why);
    };
  }

  get user() {
    return this.#kept?.user ?? null;
  }
  get access() {
    return this.#kept?.access_token ?? null;
  }
  get refresh() {
    return this.#kept?.refresh_token ?? null;
  }
  can(permission) {
    return this.user?.permissions.includes(permission) ?? false;
  }

  #keep(tokens) {
    this.#kept = tokens;
    sessionStorage.setItem(KEPT, JSON.stringify(tokens));
  }

  #forget(why) {
    this.#kept = null;
    if (why === "signed_out") sessionStorage.clear();
    else sessionStorage.removeItem(KEPT);
    this.dispatchEvent(new CustomEvent("ended", { detail: why }));
  }

  /** Keep the tokens that the server gave. */
  begin(tokens) {
    if (this.#kept) this.#others.postMessage({ instead: this.refresh, tokens });
    this.#keep(tokens);
  }

  /** Forget them. `why` is "signed_out", or "expired" when it wasn't the user's wish: then unsent words are kept. */
  end(why) {
    if (!this.#kept) return;
    this.#others.postMessage({ instead: this.refresh, why });
    this.#forget(why);
  }
}

export const session = new Session();
