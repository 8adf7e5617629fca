// The live tail: rows as the server makes them, by server-sent events, only while it is switched on.
(() => {
  "use strict";
  const most = 500;
  let source = null;
  let missed = 0;

  const say = (area, text, kind) => {
    const state = area.querySelector("[data-live-state]");
    if (!state) return;
    if (state.textContent !== text) state.textContent = text;
    state.className = `badge dot ${kind}`;
  };
  const alive = (area) => say(area, missed ? `Live, ${missed} not shown` : "Live", missed ? "warn" : "good");
  const close = () => {
    source?.close();
    source = null;
  };
  const stop = (area) => {
    close();
    area?.querySelector("[data-live-toggle]")?.setAttribute("aria-checked", "false");
    if (area) say(area, "Off", "");
  };
  const add = (area, html) => {
    const rows = document.querySelector(area.dataset.liveRows);
    const holder = document.createElement("template");
    holder.innerHTML = html; // made by our own template, with every text escaped
    for (const row of [...holder.content.children]) {
      if (row.id && document.getElementById(row.id)) continue; // it came with the page already
      rows.prepend(row);
      htmx.process(row);
    }
    while (rows.children.length > most) rows.lastElementChild.remove();
    document.querySelector("[data-live-empty]")?.remove();
  };
  const start = (area) => {
    missed = 0;
    const opened = new EventSource(area.dataset.live);
    source = opened;
    area.querySelector("[data-live-toggle]")?.setAttribute("aria-checked", "true");
    say(area, "Connecting", "warn");
    opened.onopen = () => alive(area);
    opened.onerror = () => {
      if (source !== opened) return;
      if (opened.readyState !== EventSource.CLOSED) { say(area, "Connecting again", "warn"); return; }
      stop(area);
      window.hookvault.toast("The live tail has ended: you are signed out, or too many are open. Reload the page, or try again later.", "bad");
    };
    opened.addEventListener("row", (event) => { if (source === opened) add(area, event.data); });
    opened.addEventListener("missed", (event) => {
      missed = event.data && missed !== "some" ? missed + Number(event.data) : "some";
      alive(area);
    });
  };
  const current = () => document.querySelector("[data-live]");

  document.addEventListener("click", (event) => {
    const toggle = event.target.closest("[data-live-toggle]");
    if (!toggle) return;
    const area = toggle.closest("[data-live]");
    if (source) stop(area); else start(area);
  });
  document.addEventListener("htmx:before:swap", (event) => {
    // Filters changed while it ran: it goes on with the new ones.
    const area = current();
    if (!source || !area || !event.detail?.ctx?.target?.contains?.(area)) return;
    close();
    document.addEventListener("htmx:after:swap", () => { const now = current(); if (now && !source) start(now); }, { once: true });
  });
  addEventListener("pagehide", () => stop(current()));
})();
