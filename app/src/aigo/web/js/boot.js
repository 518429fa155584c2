// Watches over the page's own start, so it is no module: when one of them didn't arrive, nothing else would ever run.
addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const tried = Number(sessionStorage.getItem("aigo.reloaded") ?? 0);
    sessionStorage.setItem("aigo.reloaded", tried + 1);
    if (tried < 2) setTimeout(() => location.reload(), 500 * (tried + 1));
    else document.getElementById("broken").hidden = false;
  },
  true,
);
addEventListener("aigo:started", () => sessionStorage.removeItem("aigo.reloaded"));
