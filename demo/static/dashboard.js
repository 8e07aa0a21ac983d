// The host page's side of the embedding: launches the portal in the frame, gives the frame its height, renews a session.
"use strict";

const frame = document.querySelector("iframe[name=portal]");
const launch = document.getElementById("launch");
const choice = document.getElementById("choice");
const send = document.getElementById("send");
const sent = document.getElementById("sent");

async function relaunch() {
  const answer = await fetch("/token", { method: "POST", body: new URLSearchParams(new FormData(choice)) });
  launch.elements.token.value = (await answer.json()).token;
  launch.submit();
}

window.addEventListener("message", (event) => {
  if (event.origin !== frame.dataset.origin || event.source !== frame.contentWindow) return;
  if (event.data.type === "portal:height" && Number.isFinite(event.data.height)) frame.style.height = `${event.data.height}px`;
  if (event.data.type === "portal:session-ended") relaunch();
});

choice.addEventListener("change", () => choice.requestSubmit());

send.addEventListener("submit", async (event) => {
  event.preventDefault();
  sent.textContent = "Sending …";
  try {
    const answer = await fetch(send.action, { method: "POST", body: new URLSearchParams(new FormData(send, event.submitter)) });
    const body = await answer.json();
    sent.textContent = answer.ok ? `Accepted as ${body.id}` : `Refused: ${body.detail ?? body.title ?? answer.status}`;
  } catch {
    sent.textContent = "The dashboard could not be reached.";
  }
});

for (const link of document.querySelectorAll(".sidebar a")) {
  link.addEventListener("click", () => {
    document.querySelector(".sidebar [aria-current]")?.removeAttribute("aria-current");
    link.setAttribute("aria-current", "page");
  });
}

launch.submit();
