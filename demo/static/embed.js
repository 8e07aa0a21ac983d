// Opens the portal in the frame, gives the frame its content's height, opens it anew when its session has ended.
"use strict";
const frame = document.querySelector("iframe[data-launch]");
const form = document.getElementById("portal-launch");
let portal; // its origin: nobody else's messages are obeyed

async function launch(page) {
  const answer = await fetch(frame.dataset.launch, { method: "POST" });
  if (!answer.ok) return; // nobody is signed in to the dashboard any more
  const { url, token } = await answer.json();
  portal = new URL(url).origin;
  form.action = url;
  form.elements.token.value = token;
  form.elements.page.value = page;
  form.submit();
}

addEventListener("message", ({ origin, source, data }) => {
  if (origin !== portal || source !== frame.contentWindow) return;
  if (data.type === "portal:height") frame.style.height = `${data.height}px`;
  if (data.type === "portal:session-ended") launch(form.elements.page.value);
});

for (const link of document.querySelectorAll("[data-portal]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    launch(link.dataset.portal);
  });
}
launch("settings");
