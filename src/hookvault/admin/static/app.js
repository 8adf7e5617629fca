// What every page does in the browser: theme, time zone, copying, menus, toasts, times that go on. No page needs it to be read.
(() => {
  "use strict";
  const root = document.documentElement;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const keep = (name, value) => { document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`; };

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`tz=${encodeURIComponent(zone)}`)) keep("tz", zone);

  const setTheme = (theme) => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    keep("theme", theme);
    for (const button of document.querySelectorAll("[data-theme-set]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === theme));
    }
  };

  // Last in the top layer, so above an open dialog; and inside it, since whatever is not is inert then. `leaving` is emptied now.
  const showToasts = (leaving = null) => {
    const area = document.getElementById("toasts");
    const dialogs = [...document.querySelectorAll("dialog[open]")].filter((dialog) => dialog !== leaving);
    if (area.matches(":popover-open")) area.hidePopover();
    (dialogs.at(-1) ?? document.body).append(area);
    if (area.childElementCount) area.showPopover();
  };
  const toast = (text, kind = "") => {
    const area = document.getElementById("toasts");
    if (!area || !text) return;
    const box = document.createElement("div");
    box.className = `toast ${kind}`;
    box.setAttribute("role", kind === "bad" ? "alert" : "status");
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "✕";
    close.setAttribute("aria-label", "Dismiss");
    close.addEventListener("click", () => box.remove());
    box.append(words, close);
    area.append(box);
    showToasts();
    if (kind !== "bad") setTimeout(() => box.remove(), 6000);
  };
  window.hookvault = { toast, showToasts };
  document.addEventListener("toast", (event) => toast(event.detail.text ?? event.detail.value, event.detail.kind));

  const copy = async (button) => {
    const source = button.dataset.copyFrom ? document.querySelector(button.dataset.copyFrom) : null;
    const text = source ? (source.value ?? source.textContent) : button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
      button.classList.add("copied");
      toast("Copied.");
      setTimeout(() => button.classList.remove("copied"), 1500);
    } catch {
      toast("The browser did not let us copy. Select the text and copy it yourself.", "bad");
    }
  };

  // What is shown once, as a file. It never leaves the browser.
  const download = (button) => {
    const text = document.querySelector(button.dataset.downloadFrom).textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = button.dataset.downloadName;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (button) copy(button);
    const file = event.target.closest("[data-download-from]");
    if (file) download(file);
    const theme = event.target.closest("[data-theme-set]");
    if (theme) setTheme(theme.dataset.themeSet);
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target) || event.target.closest(".menu-list a, .menu-list button")) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.("details.menu[open]");
    if (menu && event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (menu && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const items = [...menu.querySelectorAll(".menu-list a, .menu-list button:not(:disabled)")];
      const next = items.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      items.at(next % items.length)?.focus();
      event.preventDefault();
    } else if (event.key === "/" && !event.target.closest("input, textarea, select, [contenteditable]")) {
      const search = document.querySelector("main [type=search]");
      if (search) { search.focus(); event.preventDefault(); }
    }
  });

  const steps = [[31536000, "y"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const ago = (moment) => {
    const seconds = (Date.now() - moment) / 1000;
    const step = steps.find(([length]) => Math.abs(seconds) >= length);
    if (!step) return "just now";
    const count = Math.floor(Math.abs(seconds) / step[0]);
    return seconds > 0 ? `${count} ${step[1]} ago` : `in ${count} ${step[1]}`;
  };
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  }, 5000);

  // Boxes that stand for all others, and what is done to those that are ticked.
  const count = (area) => {
    const ticked = area.querySelectorAll("[data-pick]:checked").length;
    const bar = area.querySelector("[data-bulk]");
    if (bar) bar.hidden = ticked === 0;
    for (const label of area.querySelectorAll("[data-picked]")) label.textContent = String(ticked);
  };
  document.addEventListener("change", (event) => {
    const area = event.target.closest("[data-pickable]");
    if (!area) return;
    if (event.target.matches("[data-pick-all]")) {
      for (const box of area.querySelectorAll("[data-pick]")) box.checked = event.target.checked;
    }
    count(area);
  });
  document.addEventListener("htmx:after:swap", () => document.querySelectorAll("[data-pickable]").forEach(count));

  // A destructive act waits until the name was typed.
  document.addEventListener("input", (event) => {
    const wanted = event.target.dataset?.confirm;
    if (wanted === undefined) return;
    const button = event.target.form?.querySelector("[data-confirmed]");
    if (button) button.disabled = event.target.value.trim() !== wanted;
  });

  // Where a part is put anew, the focus stays on what has the same id.
  let held = "";
  document.addEventListener("htmx:before:swap", () => { held = document.activeElement?.id ?? ""; });
  document.addEventListener("htmx:after:swap", () => {
    if (held && document.activeElement === document.body) document.getElementById(held)?.focus();
  });

  document.addEventListener("htmx:error", (event) => {
    if (event.detail?.error?.name === "AbortError") return;
    toast("The server did not answer. Nothing was changed as far as we know; try again.", "bad");
  });
})();
