// Who is signed in here. The tokens live as long as the tab does; nothing about them is in an address or a cookie.

const KEPT = "aigo.session";
export const PENDING = "aigo.pending";

class Session extends EventTarget {
  #kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");

  get user() {
    return this.#kept?.user ?? null;
  }
  get access() {
    return this.#kept?.access_token ?? null;
  }
  get refresh() {
    return this.#kept?.refresh_token ?? null;
  }

  /** Keep the tokens that the server gave. */
  begin(tokens) {
    this.#kept = { ...this.#kept, ...tokens };
    sessionStorage.setItem(KEPT, JSON.stringify(this.#kept));
  }

  /** Forget them. `why` is "signed_out", or "expired" when it wasn't the user's wish: then unsent words are kept. */
  end(why) {
    if (!this.#kept) return;
    this.#kept = null;
    if (why === "signed_out") sessionStorage.clear();
    else sessionStorage.removeItem(KEPT);
    this.dispatchEvent(new CustomEvent("ended", { detail: why }));
  }
}

export const session = new Session();
