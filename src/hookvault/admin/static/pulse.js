// Every 20 seconds what wants to be fresh is told so, as long as somebody can see it. Not under an open dialog: there
// somebody may be typing, and a session that has ended would bring another one.
(() => {
  "use strict";
  const every = 20000;
  let missed = false;
  const beat = () => {
    missed = document.hidden || document.querySelector("dialog[open]") !== null;
    if (!missed) document.body.dispatchEvent(new CustomEvent("pulse"));
  };
  setInterval(beat, every);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && missed) beat(); });
})();
