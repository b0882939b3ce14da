// Refreshes what was read, lets commands be copied, and nothing else: every page is whole without.
"use strict";
const EVERY = 10_000;
const said = document.getElementById("refreshed");
const busy = () => String(getSelection()) !== "" || document.querySelector("details[open]");

function arm() {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = () => navigator.clipboard.writeText(button.dataset.copy).then(
      () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); },
      () => { button.hidden = true; });
  }
}

// What has the focus is known by where it leads or what it copies: rows come and go above it.
const stops = (part) => [...part.querySelectorAll("a, button, summary")];
const nameOf = (stop) => stop.getAttribute("href") ?? stop.dataset.copy ?? stop.textContent;

const stale = (why) => { said.textContent = why; document.body.classList.add("stale"); };
let asked = 0;

async function refresh() {
  const old = document.getElementById("live");
  if (!old || document.hidden) return;
  if (busy()) return stale(". Not refreshed while you read or copy.");
  const mine = ++asked;
  let answer = null, text = "";
  try {
    // One that is not answered before the next is asked for is none.
    answer = await fetch(location.href, { redirect: "manual", credentials: "same-origin", signal: AbortSignal.timeout(EVERY - 1000) });
    text = await answer.text();
  } catch { answer = null; }
  if (mine !== asked) return;
  if (!answer || !answer.ok) {
    return stale(answer && answer.type === "opaqueredirect" ? ". Signed out: reload to sign in."
      : answer && answer.status === 404 ? ". It is not there any more: this is how it was."
      : ". It cannot be refreshed at present: this is how it was then.");
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = page.getElementById("live"), read = page.getElementById("read");
  if (!fresh || !read || busy()) return;
  document.body.classList.remove("stale");
  said.textContent = "";
  document.getElementById("read").replaceWith(read);
  if (fresh.isEqualNode(old)) return;
  const focused = document.activeElement, same = (stop) => nameOf(stop) === nameOf(focused);
  const place = stops(old).includes(focused) ? stops(old).filter(same).indexOf(focused) : -1;
  old.replaceWith(fresh);
  arm();
  if (place < 0) return;
  const found = stops(fresh).filter(same);
  (found[place] ?? found[0])?.focus({ preventScroll: true });
}

arm();
if (document.body.hasAttribute("data-refresh")) setInterval(refresh, EVERY);
// Who comes from a link elsewhere is not known at first, and is known from here. He goes on by a way
// of ours, since a reload is the first way once more to some browsers; and once, whatever comes of it.
async function goOn(signIn) {
  const to = signIn.querySelector("[name=next]").value;
  if (sessionStorage.getItem("went-on-to") === to) return;
  const answer = await fetch(location.href, { redirect: "manual", credentials: "same-origin" });
  if (answer.type !== "opaqueredirect") return;
  sessionStorage.setItem("went-on-to", to);
  location.replace(to);
}
const signIn = document.querySelector("[data-sign-in]");
if (signIn) goOn(signIn).catch(() => {});
else try { sessionStorage.removeItem("went-on-to"); } catch { /* Nothing is kept here. */ }
