// Refreshes what was read, lets commands be copied, and nothing else: every page is whole without.
"use strict";
const EVERY = 10_000;
const said = document.getElementById("refreshed");
const busy = () => document.hidden || String(getSelection()) !== "" || document.querySelector("details[open]");

function arm() {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = () => navigator.clipboard.writeText(button.dataset.copy).then(
      () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); },
      () => { button.hidden = true; });
  }
}

async function refresh() {
  const old = document.getElementById("live");
  if (!old || busy()) return;
  const answer = await fetch(location.href, { redirect: "manual", credentials: "same-origin" }).catch(() => null);
  if (!answer || !answer.ok) {
    said.textContent = answer && answer.type === "opaqueredirect"
      ? ". Signed out: reload to sign in." : ". It cannot be refreshed at present: this is how it was then.";
    document.body.classList.add("stale");
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live"), read = page.getElementById("read");
  if (!fresh || !read || busy()) return;
  document.body.classList.remove("stale");
  said.textContent = "";
  document.getElementById("read").replaceWith(read);
  if (fresh.isEqualNode(old)) return;
  const links = [...old.querySelectorAll("a, button, summary")], place = links.indexOf(document.activeElement);
  old.replaceWith(fresh);
  arm();
  if (place >= 0) fresh.querySelectorAll("a, button, summary")[place]?.focus({ preventScroll: true });
}

arm();
if (document.body.hasAttribute("data-refresh")) setInterval(refresh, EVERY);
// Who comes from a link elsewhere is not known at first, and is known from here.
if (document.querySelector("[data-sign-in]"))
  fetch(location.href, { redirect: "manual", credentials: "same-origin" })
    .then((answer) => { if (answer.type === "opaqueredirect") location.reload(); }, () => {});
