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
  const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone; // of whoever reads the times
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

  // A page that came instead of the one asked for, because the session is over.
  if (takeMeta("portal-ended")) tellParent({ type: "portal:session-ended" });
  on("click", (event) => {
    if (event.target.closest?.("[data-open-again]")) tellParent({ type: "portal:session-ended" });
  });

  const isPoll = (ctx) => ctx?.sourceEvent?.type === "every";
  const viewOfLog = () => byId("log-view")?.innerHTML; // its filters, and which message is open

  on("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (ended || (isPoll(ctx) && document.hidden)) return event.preventDefault();
    if (token) ctx.request.headers.Authorization = `Bearer ${token}`;
    if (timezone) ctx.request.headers["Portal-Timezone"] = timezone;
    if (isPoll(ctx) && ctx.sourceElement.id === "log") {
      ctx.viewOfLog = viewOfLog();
      holdLog(ctx.request.body);
    }
    // An empty filter has no place in the address.
    if (ctx.sourceElement.id === "filters") {
      for (const [name, value] of [...ctx.request.body]) if (!value) ctx.request.body.delete(name);
    }
  });

  on("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    const { response } = ctx;
    if (response.status === 401) {
      event.preventDefault();
      return endSession();
    }
    // Every answer of the portal's has this header; a refusal without it is the page of a proxy on the way.
    if (response.status >= 400 && response.status < 500 && !response.headers.get("Content-Security-Policy")) {
      event.preventDefault();
      showMessage(isPoll(ctx) ? "offline" : "failed");
      return;
    }
    token = response.headers.get("Portal-Session") || token;
    document.querySelector('[data-shown="offline"]')?.remove();
    // The answer to a poll that was under way when the reader opened a message would close it again.
    if ("viewOfLog" in ctx && ctx.viewOfLog !== viewOfLog()) event.preventDefault();
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
  // A filtered list and an older page stand still by themselves.
  const STANDS_STILL = ["state", "kind", "period", "recipient", "before"];
  const holdLog = (body) => {
    if (STANDS_STILL.some((name) => body.has(name))) return;
    const newest = byId("log-view")?.dataset.newest;
    const reading = !topInView || byId("rows")?.contains(document.activeElement);
    if (!reading) body.delete("until");
    else if (newest && !body.has("until")) body.set("until", newest);
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

  // ---- Own mail service: any edit of what was tested locks Save; what is typed is not lost unseen ----
  const TESTED = ["host", "port", "encryption", "username", "secret", "from_address"];
  const driverForm = () => byId("driver-form");
  const guardedForm = () => document.querySelector("form[data-guarded]"); // what is typed there would be lost
  const typed = (form, names) => names.map((name) => form.elements[name]?.value ?? "").join("\n");
  const everything = (form) => typed(form, [...form.elements].filter(({ type }) => type !== "hidden").map(({ name }) => name));
  let known = { form: null, tested: "", all: "" }; // what the form held when it came
  let secret = "";

  const showGate = () => {
    const box = byId("save-box");
    if (!box || known.form !== driverForm()) return;
    const changed = typed(known.form, TESTED) !== known.tested;
    const open = box.dataset.open === "true" && !changed;
    const save = byId("save");
    if (open) save.removeAttribute("aria-disabled");
    else save.setAttribute("aria-disabled", "true");
    save.classList.toggle("secondary", !open);
    byId("send-test").classList.toggle("secondary", open);
    byId("save-reason").textContent = changed && box.dataset.open === "true" ? box.dataset.changed : box.dataset.reason;
  };

  // A form that has just come: the password that was typed into the one before stays in the browser.
  const takeStock = (keepSecret) => {
    const form = guardedForm();
    if (form && form !== known.form) {
      if (keepSecret && secret && form.elements.secret?.value === "") form.elements.secret.value = secret;
      known = { form, tested: typed(form, TESTED), all: everything(form) };
    } else if (!form) known = { form: null, tested: "", all: "" };
    secret = "";
    showGate();
    showRealFrom();
  };
  on("htmx:before:swap", () => {
    secret = driverForm()?.elements.secret.value ?? "";
  });

  const edited = () => known.form !== null && known.form === guardedForm()
    && (known.form.dataset.unsaved === "typed" || everything(known.form) !== known.all);
  const unsaved = () => edited() || (guardedForm() && known.form.dataset.unsaved === "tested");

  // Port and encryption belong together; the server decides, this only saves a step.
  const couple = (field) => {
    const { port, encryption } = known.form.elements;
    const ports = (option) => option.dataset.ports.split(" ");
    if (field === port) {
      const fits = [...encryption.options].find((option) => ports(option).includes(port.value.trim()));
      if (fits) encryption.value = fits.value;
    } else if (field === encryption) {
      const others = [...encryption.options].filter((option) => !option.selected).flatMap(ports);
      if (!port.value.trim() || others.includes(port.value.trim())) port.value = ports(encryption.selectedOptions[0])[0];
    }
  };

  // Gmail replaces a From that isn't the account's.
  const showRealFrom = () => {
    const note = byId("real-from");
    if (!note || !known.form) return;
    const [user, from, name] = ["username", "from_address", "from_name"].map((id) => known.form.elements[id].value.trim());
    note.hidden = !from || !user.includes("@") || from.toLowerCase() === user.toLowerCase();
    note.querySelector('[data-real="name"]').textContent = name || byId("driver-form").querySelector("[data-preview-of]").dataset.name;
    note.querySelector('[data-real="address"]').textContent = user;
  };

  const onEdit = (event) => {
    const field = event.target;
    if (!known.form || known.form !== driverForm() || field.form !== known.form) return;
    if (event.type === "change" && ["host", "username", "port"].includes(field.name)) field.value = field.value.trim();
    if (event.type === "change" && field.name === "username" && field.value.includes("@") && !known.form.elements.from_address.value) {
      known.form.elements.from_address.value = field.value; // most accounts send as themselves
      preview();
    }
    couple(field);
    showGate();
    showRealFrom();
  };
  on("input", onEdit);
  on("change", onEdit);

  on("click", (event) => {
    const button = event.target.closest?.("[data-reveal]");
    if (!button) return;
    const field = byId(button.dataset.reveal);
    field.type = field.type === "password" ? "text" : "password";
    const { other, otherLabel } = button.dataset;
    Object.assign(button.dataset, { other: button.textContent, otherLabel: button.ariaLabel });
    Object.assign(button, { textContent: other, ariaLabel: otherLabel });
  });

  on("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement.getAttribute?.("aria-disabled") === "true") event.preventDefault();
    if (ctx.sourceElement.id === "driver-choice") ctx.request.body?.delete?.("secret"); // choosing needs no password
  });

  // Leaving with unsaved changes asks first, in the page: a frame of another site may not open a dialog.
  let leaving = null;
  const guard = (event) => {
    const element = event.target.closest?.("a[href], button");
    if (!element || leaving === "free" || !unsaved()) return;
    // An action that swaps no more than its own parts leaves the form as it is.
    const stays = element.form === guardedForm() || ["discard-form", "driver-choice"].includes(element.form?.id)
      || element.hasAttribute("data-discard") || element.form?.getAttribute("hx-swap") === "none"
      || element.closest("#notices") || (!element.form && element.tagName === "BUTTON")
      || element.target === "_blank" || element.form?.target === "_blank" || element.getAttribute("href")?.startsWith("#");
    if (stays) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    leaving = element;
    const message = showMessage("unsaved") ?? document.querySelector('[data-shown="unsaved"]');
    message?.scrollIntoView({ block: "center" });
    message?.focus();
  };
  on("click", guard, true);
  on("click", (event) => {
    if (!event.target.closest?.("[data-leave]")) return;
    const element = leaving;
    leaving = "free";
    element.click();
  });
  addEventListener("beforeunload", (event) => {
    if (edited() && leaving !== "free" && !ended) event.preventDefault();
  });

  // ---- After a swap: language and focus as after a full load ----
  on("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    watchLog();
    tick();
    const wanted = document.querySelector("[data-focus]");
    wanted?.removeAttribute("data-focus");
    wanted?.focus();
    if (ctx.target === document.body) leaving = null;
    takeStock(ctx.target !== document.body);
    if (ctx.target !== document.body) return;
    const app = byId("app");
    if (app) Object.assign(root, { lang: app.lang, dir: app.dir });
    if (document.activeElement === document.body) document.querySelector("main h1")?.focus({ preventScroll: true });
  });

  on("DOMContentLoaded", () => {
    watchLog();
    tick();
    takeStock(false);
  });
})();
