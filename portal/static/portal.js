// What the pages need beside htmx: the session in memory, the frame's height, countdowns, a log that holds still, focus.
// Loaded before htmx. Without it every form and link still works.
(() => {
  "use strict";
  const root = document.documentElement;
  const on = (name, handler, capture) => document.addEventListener(name, handler, capture);
  const byId = (id) => document.getElementById(id);
  const framed = window.parent !== window;
  root.classList.add("js");
  if (framed) root.classList.add("framed");

  // ---- Session: from the page into memory, from there into each request; renewed by response headers ----
  const takeMeta = (name) => {
    const meta = document.querySelector(`meta[name="${name}"]`);
    meta?.remove();
    return meta?.content ?? "";
  };
  let token = takeMeta("portal-session");
  const parentOrigin = takeMeta("portal-parent");
  const landing = takeMeta("portal-url");
  let ended = false;
  // The launch's own address works once; Back and reload need the page's.
  if (landing) history.replaceState({ htmx: true }, "", landing);

  const tellParent = (message) => {
    if (framed && parentOrigin) window.parent.postMessage(message, parentOrigin);
  };

  const showMessage = (name) => {
    const template = document.querySelector(`template[data-message="${name}"]`);
    const notices = byId("notices");
    if (!template || !notices || notices.querySelector(`[data-shown="${name}"]`)) return null;
    const message = template.content.firstElementChild.cloneNode(true);
    message.dataset.shown = name;
    notices.replaceChildren(message);
    return message;
  };

  const endSession = () => {
    if (ended) return;
    ended = true;
    token = "";
    showMessage("session-ended")?.focus();
    tellParent({ type: "portal:session-ended" });
  };

  const isPoll = (ctx) => ctx?.sourceEvent?.type === "every";

  on("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (ended || (isPoll(ctx) && document.hidden)) return event.preventDefault();
    if (token) ctx.request.headers.Authorization = `Bearer ${token}`;
    if (isPoll(ctx) && ctx.sourceElement.id === "log") holdLog(ctx.request.body);
    // An empty filter has no place in the address.
    if (ctx.sourceElement.id === "filters") {
      for (const [name, value] of [...ctx.request.body]) if (!value) ctx.request.body.delete(name);
    }
  });

  on("htmx:before:response", (event) => {
    const { response } = event.detail.ctx;
    if (response.status === 401) {
      event.preventDefault();
      return endSession();
    }
    token = response.headers.get("Portal-Session") || token;
    document.querySelector('[data-shown="offline"]')?.remove();
  });

  // A server's or a proxy's error page is never swapped in; a lost connection is said once.
  on("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (ctx.response.status >= 500) showMessage(isPoll(ctx) ? "offline" : "failed");
  });
  on("htmx:error", (event) => {
    if (event.detail.ctx && !event.detail.ctx.response) showMessage(isPoll(event.detail.ctx) ? "offline" : "failed");
  });

  on("visibilitychange", () => {
    if (document.hidden || !window.htmx) return;
    for (const element of document.querySelectorAll('[hx-trigger^="every"]')) htmx.trigger(element, "every", {}, false);
  });

  // A form that opens a new tab carries the session in its body: the tab doesn't see the frame's cookie.
  on("formdata", (event) => {
    if (!token || !event.target.hasAttribute("data-hand-over")) return;
    event.formData.set("portal_session", token);
    event.formData.set("next", location.pathname + location.search);
  });

  // ---- Frame: its height follows the content ----
  if (framed && parentOrigin) {
    let told = 0;
    new ResizeObserver(() => {
      const height = Math.ceil(root.getBoundingClientRect().height);
      if (height !== told) tellParent({ type: "portal:height", height: (told = height) });
    }).observe(root);
  }

  // ---- Log: holds still while the reader has scrolled down or works in the list; new rows then wait behind a button ----
  let topInView = true;
  let observed = null;
  const topObserver = new IntersectionObserver((entries) => {
    topInView = entries.at(-1).isIntersecting;
  });
  const watchLog = () => {
    const mark = byId("log-top");
    if (mark === observed) return;
    topObserver.disconnect();
    topInView = true;
    observed = mark;
    if (mark) topObserver.observe(mark);
  };
  const holdLog = (body) => {
    const newest = byId("log-view")?.dataset.newest;
    const reading = !topInView || byId("rows")?.contains(document.activeElement);
    if (reading && newest && !body.has("until") && !body.has("before")) body.set("until", newest);
  };

  // ---- Waiting: a visible countdown, and the button works again at its end ----
  const waits = new WeakMap();
  const tick = () => {
    for (const note of document.querySelectorAll("[data-wait]")) {
      const seconds = Number(note.dataset.wait);
      if (seconds > 3600) continue; // the time of day says more
      let wait = waits.get(note);
      if (wait?.given !== note.dataset.wait) waits.set(note, (wait = { given: note.dataset.wait, from: performance.now() }));
      const left = Math.ceil(seconds - (performance.now() - wait.from) / 1000);
      if (left > 0) {
        const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
        note.textContent = note.dataset.pattern.replace("{time}", clock);
      } else {
        const button = byId(note.dataset.for);
        button?.removeAttribute("aria-disabled");
        button?.removeAttribute("aria-describedby");
        note.remove();
      }
    }
  };
  setInterval(tick, 1000);

  on("submit", (event) => {
    if (event.submitter?.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  // ---- The sender as recipients will see it, while it is typed ----
  const preview = () => {
    const box = document.querySelector("[data-preview-of]");
    if (!box) return;
    const [name, address] = box.dataset.previewOf.split(" ").map((id) => byId(id)?.value.trim());
    const show = (part, text) => { box.querySelector(`[data-preview="${part}"]`).textContent = text; };
    show("name", name || box.dataset.name);
    show("address", address || box.dataset.address);
    show("initial", [...(name || box.dataset.name)][0].toUpperCase());
  };
  on("input", preview);

  on("click", (event) => {
    event.target.closest?.("[data-dismiss]")?.closest(".notice").remove();
  });

  // ---- After a swap: language and focus as after a full load ----
  on("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    watchLog();
    tick();
    const wanted = document.querySelector("[data-focus]");
    wanted?.removeAttribute("data-focus");
    wanted?.focus();
    if (ctx.target !== document.body) return;
    const app = byId("app");
    if (app) Object.assign(root, { lang: app.lang, dir: app.dir });
    if (document.activeElement === document.body) document.querySelector("main h1")?.focus({ preventScroll: true });
  });

  on("DOMContentLoaded", () => {
    watchLog();
    tick();
  });
})();
