// The live tail: rows as the server makes them, by server-sent events, only while it is switched on.
(() => {
  "use strict";
  let source = null;
  const most = 500;

  const say = (area, text, kind) => {
    const state = area.querySelector("[data-live-state]");
    if (state) { state.textContent = text; state.className = `badge dot ${kind}`; }
  };
  const stop = (area) => {
    source?.close();
    source = null;
    area.querySelector("[data-live-toggle]")?.setAttribute("aria-checked", "false");
    say(area, "Off", "");
  };
  const start = (area) => {
    const rows = document.querySelector(area.dataset.liveRows);
    source = new EventSource(area.dataset.live);
    area.querySelector("[data-live-toggle]")?.setAttribute("aria-checked", "true");
    say(area, "Connecting", "warn");
    source.onopen = () => say(area, "Live", "good");
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) { stop(area); window.hookvault.toast("The live tail has ended. Switch it on again.", "bad"); }
      else say(area, "Connecting again", "warn");
    };
    source.addEventListener("row", (event) => {
      const holder = document.createElement("template");
      holder.innerHTML = event.data; // made by our own template, with every text escaped
      const made = [...holder.content.children];
      for (const row of made) if (!row.id || !document.getElementById(row.id)) { rows.prepend(row); htmx.process(row); }
      while (rows.children.length > most) rows.lastElementChild.remove();
      document.querySelector("[data-live-empty]")?.remove();
    });
    source.addEventListener("missed", (event) => say(area, `Live, ${event.data} not shown`, "warn"));
  };
  document.addEventListener("click", (event) => {
    const toggle = event.target.closest("[data-live-toggle]");
    if (!toggle) return;
    const area = toggle.closest("[data-live]");
    if (source) stop(area); else start(area);
  });
  document.addEventListener("htmx:before:swap", (event) => {
    // Filters changed while it ran: it goes on with the new ones.
    const area = document.querySelector("[data-live]");
    if (source && area && event.detail?.ctx?.target?.contains?.(area)) {
      source.close();
      source = null;
      document.addEventListener("htmx:after:swap", () => { const now = document.querySelector("[data-live]"); if (now) start(now); }, { once: true });
    }
  });
  addEventListener("pagehide", () => source?.close());
})();
