// The status page as a browser shows it. `run.sh` puts the daemon and its tenants there.
//
// The rules: whatever the browser complains of (console, script, policy) fails the test that was
// under way; no wait is for a time, always for what is to be seen.
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { PAGE_URL: base, PAGE_LOOKS: looks, PAGE_ACTS: acts, PAGE_PICTURE: picture, PAGE_REPOSITORY: repository } = process.env;
const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const shots = path.join(import.meta.dirname, "shots");
const PAGES = {
  overview: "/status",
  attention: "/status/attention",
  tenants: "/status/tenants",
  "tenants-filtered": "/status/tenants?filter=ready%3Ano",
  "tenants-fault": "/status/tenants?filter=phase%3Aready+phsae%3Aready",
  "tenants-none": "/status/tenants?filter=region%3Anowhere",
  "tenant-ready": "/status/tenants/customer-001",
  "tenant-parked": "/status/tenants/typo-1",
  "tenant-retrying": "/status/tenants/slow-1",
  "tenant-hostile": `/status/tenants/${encodeURIComponent("<script>alert(1)</script>")}`,
  calendar: "/status/calendar",
  confirm: "/status/attention/HostNotAllowed/retry",
  "sign-in": "/status/sign-in?act=1",
};
const SIZES = [360, 1280];
const counted = { pages: 0, violations: 0 };
let browser;

/** A context whose pages note every complaint of the browser. */
async function open(options = {}) {
  const context = await browser.newContext({ baseURL: base, viewport: { width: 1280, height: 900 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  const complaints = [];
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  context.on("weberror", (error) => complaints.push(`script: ${error.error()}`));
  context.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  // Who goes elsewhere hears no answer, and asks for none.
  context.on("requestfailed", (request) => {
    if (request.failure().errorText !== "net::ERR_ABORTED") complaints.push(`failed: ${request.url()}`);
  });
  context.on("request", (request) => { if (!request.url().startsWith(base)) complaints.push(`elsewhere: ${request.url()}`); });
  return { context, complaints, page: await context.newPage() };
}

/**
 * A test with a context of its own: whatever the browser complains of fails it, but for the answers
 * that it asks for, by their status.
 */
function look(name, { asksFor = [], skip = false, ...options }, body) {
  test(name, { skip }, async () => {
    const { context, complaints, page } = await open(options);
    await body({ context, page });
    const asked = asksFor.map((status) => new RegExp(`^error: Failed to load resource: .* status of ${status} `));
    assert.deepEqual(complaints.filter((complaint) => !asked.some((known) => known.test(complaint))), []);
    await context.close();
  });
}

async function signIn(page, token, at = "/status") {
  await page.goto(at);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => !url.pathname.endsWith("/sign-in"));
}

function sql(statement) {
  return execFileSync(process.env.PSQL, ["-X", "-q", "-A", "-t", "-c", statement, process.env.TENANTD_DATABASE__URL], { encoding: "utf8" }).trim();
}

/** What axe finds wrong, as one line each. */
async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target} ${node.failureSummary}`));
}

before(async () => {
  mkdirSync(shots, { recursive: true });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
});
after(async () => {
  await browser?.close();
  console.log(`page-test: ${counted.pages} pages looked at, axe found ${counted.violations} violations`);
});

look("who has no token is asked for one, and a wrong one opens nothing", { asksFor: [403] }, async ({ context, page }) => {
  await page.goto("/status/tenants?filter=ready%3Ano");
  assert.equal(new URL(page.url()).pathname, "/status/sign-in");
  await page.getByLabel("Token").fill("a-guess");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This token opens nothing here.").waitFor();
  await page.getByLabel("Token").fill(looks);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/status/tenants?filter=ready%3Ano");
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/status"]);
  assert.ok(!cookie.value.includes(looks));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/status/sign-in");
  await page.goto("/status");
  assert.equal(new URL(page.url()).pathname, "/status/sign-in");
});

look("who is in and comes from elsewhere is let in by a way of ours", {}, async ({ context, page }) => {
  await signIn(page, looks);
  const other = await context.newPage();
  await other.setContent(`<a href="${base}/status/tenants?filter=ready%3Ano">there</a>`);
  const answers = [];
  other.on("response", (answer) => { if (answer.request().isNavigationRequest()) answers.push(new URL(answer.url()).pathname); });
  await other.getByRole("link", { name: "there" }).click();
  await other.waitForURL("**/status/tenants?filter=ready%3Ano");
  await other.getByRole("heading", { name: "Tenants" }).waitFor();
  assert.deepEqual(answers, ["/status/tenants", "/status/sign-in", "/status/tenants"], "the browser sends no cookie at first");
});

look("whose browser sends no cookie all the same is asked for the token, and not again and again", {}, async ({ page }) => {
  await signIn(page, looks);
  // As if no way led in: each page is answered as to somebody without a cookie.
  const form = await (await fetch(`${base}/status/sign-in?next=%2Fstatus%2Fcalendar`)).text();
  let asked = 0;
  await page.route(`${base}/status/**`, (route) => {
    if (!route.request().isNavigationRequest()) return route.continue();
    const isForm = route.request().url().includes("/sign-in");
    if (isForm) asked += 1;
    const away = "<!doctype html><title>x</title><script>location.replace('/status/sign-in?next=%2Fstatus%2Fcalendar')</script>";
    return route.fulfill({ contentType: "text/html", body: isForm ? form : away });
  });
  await page.goto("/status/sign-in?next=%2Fstatus%2Fcalendar");
  await page.waitForFunction(() => sessionStorage.getItem("went-on-to") === "/status/calendar");
  await page.waitForLoadState("networkidle");
  await page.getByLabel("Token").waitFor();
  assert.equal(asked, 2, "at first, and when it was tried");
});

for (const width of SIZES) {
  for (const colorScheme of ["light", "dark"]) {
    look(`every page is well at ${width} px in ${colorScheme}`, { viewport: { width, height: 900 }, colorScheme }, async ({ context, page }) => {
      await signIn(page, acts);
      for (const [name, at] of Object.entries(PAGES)) {
        if (name === "sign-in") await context.clearCookies();
        const answer = await page.goto(at);
        assert.equal(answer.status(), 200, name);
        assert.match(answer.headers()["content-security-policy"], /default-src 'none'.*form-action 'self'/, name);
        const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.ok(wide <= room, `${name} is ${wide} px wide where there are ${room}`);
        assert.equal(await page.locator("h1").count(), 1, name);
        await page.screenshot({ path: path.join(shots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        const found = await violations(page);
        counted.pages += 1;
        counted.violations += found.length;
        assert.deepEqual(found, [], name);
      }
    });
  }
}

look("a filter shows who matches, page by page, and a fault where it is", {}, async ({ context, page }) => {
  await signIn(page, looks, "/status/tenants");
  const keys = () => page.locator("tbody td:first-child a").allTextContents();
  const first = await keys();
  await page.getByRole("link", { name: "Next page" }).click();
  await page.waitForURL(/after=/);
  const second = await keys();
  assert.equal(first.length, 50);
  assert.deepEqual([...first, ...second], [...new Set([...first, ...second])]);

  await page.getByLabel("Filter").fill("reason:HostNotAllowed");
  await page.keyboard.press("Enter");
  await page.waitForURL(/filter=reason/);
  const parked = await keys();
  assert.equal(parked.length, 8);
  assert.ok(parked.includes("<script>alert(1)</script>"), "a name is shown as it is");

  await page.getByLabel("Filter").fill("phase:ready reasn:Queued");
  await page.getByRole("button", { name: "Show" }).click();
  const fault = page.getByRole("alert");
  await fault.waitFor();
  assert.match(await fault.textContent(), /at character 13/);
  assert.equal(await fault.locator("mark").textContent(), "reasn");
  assert.equal(await page.getByLabel("Filter").inputValue(), "phase:ready reasn:Queued");
});

look("all of a reason are retried once, by who may act, and first it is said how many", {}, async ({ context, page }) => {
  await signIn(page, looks, "/status/attention");
  await page.locator("#UnknownProfile").getByRole("link", { name: "Retry all" }).click();
  await page.getByRole("heading", { name: "Retry 2 tenants parked as UnknownProfile?" }).waitFor();
  assert.equal(await page.getByRole("button", { name: /^Retry/ }).count(), 0, "who looks has no button");
  await page.getByRole("link", { name: "Sign in with the token that acts" }).click();
  await page.getByLabel("Token").fill(acts);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL("**/status/attention/UnknownProfile/retry");
  await page.getByLabel("Why").fill("the profile comes <b>today</b>");
  const fields = await page.locator("form:has(#reason)").evaluate((form) => new URLSearchParams(new FormData(form)).toString());
  await page.getByRole("button", { name: "Retry 2 tenants" }).click();
  await page.getByText("2 tenants are due at once").waitFor();
  const noted = "SELECT count(*) FROM tenantd.attempts WHERE effect = 'retry' AND message = 'the profile comes <b>today</b>; asked for by alice over HTTP'";
  assert.equal(sql(noted), "2");

  const again = await page.evaluate(async (body) => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await fetch("/status/attention/UnknownProfile/retry", { method: "POST", headers, body });
    return answer.url;
  }, fields);
  assert.match(again, /retried=2&left=0&told=[\w-]+$/, "the same form is answered as before");
  assert.equal(sql(noted), "2", "and nothing is done twice");
  await page.goto("/status/tenants/portal-1");
  await page.getByText("the profile comes <b>today</b>").waitFor();
});

look("a page refreshes itself, keeps the focus, and commands are copied", {}, async ({ context, page }) => {
  await signIn(page, looks, "/status/attention");
  const link = page.locator("#HostNotAllowed").getByRole("link", { name: "typo-1", exact: true });
  await link.focus();
  const before = await page.locator("#read").getAttribute("datetime");
  // It comes to stand above the link.
  sql("INSERT INTO tenantd.tenants (external_id, host) VALUES ('aa-late', 'aa-late.us.qlikcluod.com')");
  await page.waitForFunction(() => document.querySelector("#HostNotAllowed")?.textContent.includes("9 tenants"), null, { timeout: 40_000 });
  assert.notEqual(await page.locator("#read").getAttribute("datetime"), before);
  assert.ok(await link.evaluate((element) => element === document.activeElement));

  await page.goto("/status/tenants/typo-1");
  await page.getByRole("button", { name: "Copy" }).first().click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "tenantd tenant retry typo-1");
});

look("everything is reached by keyboard, and seen where it is", {}, async ({ context, page }) => {
  await signIn(page, acts);
  for (const at of ["/status", "/status/attention", "/status/tenants", "/status/tenants/typo-1", "/status/calendar", PAGES.confirm]) {
    await page.goto(at);
    const there = await page.locator("a[href]:visible, button:visible, input:not([type=hidden]):visible, summary:visible").count();
    const reached = new Set();
    for (let turn = 0; turn < there + 5; turn += 1) {
      await page.keyboard.press("Tab");
      const place = await page.evaluate(() => {
        const active = document.activeElement;
        if (!active || active === document.body) return null;
        const { outlineStyle, outlineWidth } = getComputedStyle(active);
        const box = active.getBoundingClientRect();
        return {
          place: [...document.querySelectorAll("*")].indexOf(active),
          isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && box.width > 0 && box.right > 0,
          what: active.outerHTML.slice(0, 80),
        };
      });
      if (!place) continue;
      assert.ok(place.isSeen, `${at}: ${place.what}`);
      reached.add(place.place);
    }
    assert.ok(reached.size >= there, `${at}: ${reached.size} of ${there} were reached`);
  }
  await page.goto("/status");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content", "the first stop skips to the content");
  await page.getByRole("link", { name: "Calendar" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/status/calendar");
});

look("every page is whole without JavaScript", { javaScriptEnabled: false, viewport: { width: 360, height: 800 } }, async ({ context, page }) => {
  await signIn(page, acts);
  for (const [name, at] of Object.entries(PAGES)) {
    if (name === "sign-in") continue;
    assert.equal((await page.goto(at)).status(), 200, name);
    assert.ok((await page.locator("main").innerText()).length > 30, name);
    assert.equal(await page.locator("button.copy:visible").count(), 0, "no button that does nothing");
  }
  await page.goto("/status/attention/HostNotAllowed/retry");
  await page.getByLabel("Why").fill("without a script");
  await page.getByRole("button", { name: /^Retry \d+ tenants/ }).click();
  await page.getByText("due at once").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/status/sign-in");
});

look("what is not there says so", { asksFor: [404] }, async ({ context, page }) => {
  await signIn(page, looks);
  for (const at of ["/status/tenants/none", "/status/nowhere"]) {
    assert.equal((await page.goto(at)).status(), 404);
    assert.deepEqual(await violations(page), [], at);
  }
});

look("the picture of the README", { skip: !picture, viewport: { width: 1120, height: 800 }, deviceScaleFactor: 1, colorScheme: "light" }, async ({ page }) => {
  await signIn(page, looks);
  await page.screenshot({ path: path.resolve(repository, picture), fullPage: true });
});
