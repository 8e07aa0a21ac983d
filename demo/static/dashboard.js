// The demo's own controls; the portal in the frame is embed.js's.
"use strict";

const choice = document.getElementById("choice");
const send = document.getElementById("send");
const sent = document.getElementById("sent");

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
