// The till: find or register a member, fill a basket, see the quote, check out. Every figure shown is the API's.
import { call, Problem } from "./api.js";

const $ = (id) => document.getElementById(id);
const till = $("till");
const exponent = Number(till.dataset.exponent);
const money = (minor) =>
  new Intl.NumberFormat(undefined, { style: "currency", currency: till.dataset.currency, minimumFractionDigits: exponent }).format(minor / 10 ** exponent);
const state = { member: null, lines: [], key: null };

function element(tag, text, attributes = {}) {
  const made = Object.assign(document.createElement(tag), attributes);
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(text, failed = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", failed);
  $("message").hidden = !text;
}

// Every action says what went wrong in the API's words, and leaves the basket as it is.
const acting = (action) => async (event) => {
  event?.preventDefault();
  try {
    await action(event);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say(error.message, true);
  }
};

async function find() {
  const q = $("q").value.trim();
  $("found").replaceChildren();
  $("register").hidden = true;
  if (!q) return;
  const { items } = await call("GET", `/v1/members?q=${encodeURIComponent(q)}`);
  say("");
  if (items.length === 1) return choose(items[0].number);
  offer(items);
  if (items.length === 0) {
    const form = $("register");
    form.hidden = false;
    $("another").hidden = true;
    await askOwnFields();
    const digits = /^[+\d\s().-]+$/.test(q);
    form.elements.phone.value = digits ? q : "";
    form.elements.name.value = digits ? "" : q;
    form.elements[digits ? "name" : "phone"].focus();
  }
}

// Members to choose from: those that were found, and those that a newcomer may be.
function offer(members) {
  $("found").replaceChildren(
    ...members.map((member) => {
      const button = element("button", `${member.name} · ${member.phone ?? member.number}`, { type: "button" });
      button.addEventListener("click", acting(() => choose(member.number)));
      const item = element("li");
      item.append(button);
      return item;
    }),
  );
}

// What the chain asks of every new member beyond phone and name.
async function askOwnFields() {
  const { items } = await call("GET", "/v1/member-fields");
  const inputs = { number: "number", date: "date", yes_no: "checkbox" };
  $("own-fields").replaceChildren(
    ...items.filter((field) => field.required).map((field) => {
      const label = element("label", `${field.labels.en ?? field.code} `);
      const choice = field.kind.startsWith("choice");
      const input = choice ? element("select", undefined, { multiple: field.kind === "choices" }) : element("input", undefined, { type: inputs[field.kind] ?? "text", step: "any" });
      if (choice) input.append(...field.options.map((option) => element("option", option, { value: option })));
      input.required = field.kind !== "yes_no";
      input.dataset.code = field.code;
      input.dataset.kind = field.kind;
      label.append(input);
      return label;
    }),
  );
}

function ownFields() {
  const values = {};
  for (const input of $("own-fields").querySelectorAll("[data-code]")) {
    const { code, kind } = input.dataset;
    if (kind === "number") values[code] = Number(input.value);
    else if (kind === "yes_no") values[code] = input.checked;
    else if (kind === "choices") values[code] = [...input.selectedOptions].map((option) => option.value);
    else values[code] = input.value;
  }
  return values;
}

async function choose(number) {
  const view = await call("GET", `/v1/members/${number}/profile`);
  state.member = number;
  $("found").replaceChildren();
  $("register").hidden = true;
  $("q").value = "";
  const facts = element("dl");
  const rows = [
    ["Card", number],
    ["Points", `${view.points.usable}${view.points.pending ? ` (+${view.points.pending} pending)` : ""}`],
    ["Tier", view.tier.code ? `${view.tier.code}${view.tier.to_next ? `, ${money(view.tier.to_next)} to the next` : ""}` : view.tier.to_next ? `${money(view.tier.to_next)} to the first` : "–"],
    ...(view.score ? [["Segment", view.score.segment]] : []),
    ...(view.birthday_in_days !== null && view.birthday_in_days <= 7 ? [["Birthday", view.birthday_in_days ? `in ${view.birthday_in_days} days` : "today"]] : []),
    ...(view.advisor ? [["Advisor", view.advisor.name]] : []),
    ...(view.tickets.some((ticket) => ticket.due_at) ? [["Service", view.tickets.filter((ticket) => ticket.due_at).map((ticket) => ticket.subject).join(", ")]] : []),
    ["Vouchers", view.vouchers.map((voucher) => voucher.code).join(", ") || "–"],
  ];
  for (const [name, value] of rows) facts.append(element("dt", name), element("dd", value));
  const leave = element("button", "Remove member", { type: "button", className: "quiet" });
  leave.addEventListener("click", acting(async () => {
    state.member = null;
    $("member").hidden = true;
    await refresh();
  }));
  $("member").replaceChildren(element("strong", view.member.name), facts, leave);
  $("member").hidden = false;
  await refresh();
  $("sku").focus();
}

async function register(event) {
  const fields = event.target.elements;
  const email = fields.email.value.trim() || null;
  const reason = fields.reason.value.trim();
  const asked = {
    phone: fields.phone.value,
    name: fields.name.value,
    email,
    custom: ownFields(),
    consents: fields.consent.checked && email ? [{ channel: "email", wording: "till-v1", method: "ticked at the till" }] : [],
    ...(reason && !$("another").hidden ? { override: { reason } } : {}),
  };
  let number;
  try {
    ({ number } = await call("POST", "/v1/members", asked, crypto.randomUUID()));
  } catch (error) {
    // Somebody like this is there already: choose them, or say why it is another person.
    if (error instanceof Problem && error.problem.candidates) {
      offer(error.problem.candidates);
      $("another").hidden = !error.problem.type.endsWith("/possible-duplicate");
    }
    throw error;
  }
  event.target.reset();
  await choose(number);
  say("Welcome! The member is registered.");
}

async function add(event) {
  const sku = $("sku").value.trim();
  if (!sku) return;
  const product = await call("GET", `/v1/products/${encodeURIComponent(sku)}`);
  const same = state.lines.find((line) => line.sku === product.sku);
  const quantity = Number($("quantity").value) || 1;
  if (same) same.quantity += quantity;
  else state.lines.push({ sku: product.sku, name: product.name, quantity, unit_price: product.price ?? 0 });
  event.target.reset();
  $("sku").focus();
  say("");
  await refresh();
}

function basket() {
  const [store] = $("place").value.split("|");
  const voucher = $("voucher").value.trim();
  return {
    store,
    business_time: new Date().toISOString(),
    member: state.member,
    lines: state.lines.map(({ sku, quantity, unit_price }) => ({ sku, quantity, unit_price })),
    vouchers: voucher ? [voucher] : [],
    points_to_spend: Number($("points").value) || 0,
  };
}

function showLines() {
  $("lines").replaceChildren(
    ...state.lines.map((line) => {
      const row = element("tr");
      const remove = element("button", "×", { type: "button", className: "quiet", ariaLabel: `Remove ${line.name}` });
      remove.addEventListener("click", acting(async () => {
        state.lines = state.lines.filter((other) => other !== line);
        await refresh();
      }));
      const last = element("td");
      last.append(remove);
      row.append(
        element("td", line.name || line.sku),
        element("td", line.quantity, { className: "number" }),
        element("td", money(line.unit_price), { className: "number" }),
        element("td", money(line.quantity * line.unit_price), { className: "number" }),
        last,
      );
      return row;
    }),
  );
}

async function refresh() {
  showLines();
  $("checkout").disabled = state.lines.length === 0;
  $("quote").replaceChildren();
  $("suggestions").replaceChildren();
  // A new basket is a new sale; the same one, sent again after a failure, is not.
  state.key = null;
  if (state.lines.length === 0) return;
  const quote = await call("POST", "/v1/checkouts/quote", basket());
  const parts = [element("div", money(quote.due), { className: "total" })];
  if (quote.discount) parts.push(element("div", `${money(quote.discount)} off by voucher`));
  for (const voucher of quote.vouchers) if (!voucher.applied) parts.push(element("div", `${voucher.code}: ${voucher.reason}`, { className: "error" }));
  if (state.member) parts.push(element("div", `Earns ${quote.points.earned} points; ${quote.points.balance} can be spent`));
  for (const why of quote.explanation) parts.push(element("small", `${why.points} ${why.rule}: ${why.because}. `));
  $("quote").replaceChildren(...parts);
  $("suggestions").replaceChildren(...quote.suggestions.map((other) => element("li", `Goes with it: ${other.name || other.sku}, ${other.because}`)));
}

async function checkout() {
  const [, place] = $("place").value.split("|");
  state.key ??= { idempotency: crypto.randomUUID(), number: `W${Date.now().toString(36).toUpperCase()}`, sent: basket() };
  $("checkout").disabled = true;
  try {
    const sale = await call("POST", "/v1/checkouts", { ...state.key.sent, till: place, number: state.key.number }, state.key.idempotency);
    const points = state.member ? ` ${sale.points.earned} points earned, ${sale.points.balance} in all.` : "";
    state.lines = [];
    state.member = null;
    $("member").hidden = true;
    $("voucher").value = "";
    $("points").value = "0";
    await refresh();
    say(`Receipt ${sale.receipt.number}: ${money(sale.due)} paid.${points}`);
    $("q").focus();
  } finally {
    $("checkout").disabled = state.lines.length === 0;
  }
}

$("find").addEventListener("submit", acting(find));
$("register").addEventListener("submit", acting(register));
$("add").addEventListener("submit", acting(add));
$("checkout").addEventListener("click", acting(checkout));
for (const id of ["voucher", "points", "place"]) $(id).addEventListener("change", acting(refresh));

// A till's own shift: whose sales these are. Staff who signed in themselves have none to open.
async function showShift() {
  let shift = null;
  try {
    shift = await call("GET", "/v1/shifts/current");
  } catch (error) {
    if (!(error instanceof Problem) || error.problem.status !== 404) throw error;
  }
  $("shift").hidden = Boolean(shift);
  $("cashier").hidden = !shift;
  $("cashier").querySelector("span").textContent = shift ? `${shift.cashier} is at this till.` : "";
}

if ($("shift")) {
  $("shift").querySelector("form").addEventListener("submit", acting(async (event) => {
    await call("POST", "/v1/shifts", Object.fromEntries(new FormData(event.target)), crypto.randomUUID());
    event.target.reset();
    say("");
    await showShift();
    $("q").focus();
  }));
  $("cashier").querySelector("button").addEventListener("click", acting(async () => {
    await call("DELETE", "/v1/shifts/current", undefined, crypto.randomUUID());
    await showShift();
  }));
  await acting(showShift)();
}
