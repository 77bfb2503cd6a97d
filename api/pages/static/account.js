// One's own account: second factor, sessions, password, PIN.
import { call, Problem } from "./api.js";

const $ = (id) => document.getElementById(id);
const fields = (form) => Object.fromEntries(new FormData(form));

function sending(form, said, send) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.hidden = true;
    try {
      const done = await send(fields(form));
      if (done) {
        said.textContent = done;
        said.classList.remove("error");
        said.hidden = false;
        form.reset();
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      said.textContent = error.message;
      said.classList.add("error");
      said.hidden = false;
    }
  });
}

const fault = $("factor-begin").parentElement.querySelector("[role=alert]");
sending($("factor-begin"), fault, async ({ totp = "" }) => {
  const offered = await call("POST", "/v1/session/second-factor", { totp });
  // As an image, so that nothing in it could act on this page.
  const symbol = Object.assign(document.createElement("img"), {
    src: `data:image/svg+xml,${encodeURIComponent(offered.qr)}`,
    alt: "QR symbol of the secret below",
  });
  $("factor-qr").replaceChildren(symbol);
  $("factor-secret").textContent = offered.secret;
  $("factor-begin").hidden = true;
  $("factor-confirm").hidden = false;
  $("factor-confirm").elements.totp.focus();
});
sending($("factor-confirm"), fault, async ({ totp }) => {
  const { recovery_codes } = await call("POST", "/v1/session/second-factor/confirm", { totp });
  $("factor-codes").querySelector("ul").replaceChildren(
    ...recovery_codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })),
  );
  $("factor-state").textContent = "Codes from an authenticator app protect this account.";
  $("factor-confirm").hidden = true;
  $("factor-codes").hidden = false;
});

for (const button of document.querySelectorAll("[data-session]")) {
  button.addEventListener("click", async () => {
    await call("DELETE", `/v1/session/all/${button.dataset.session}`);
    button.closest("tr").remove();
  });
}
$("sessions-others")?.addEventListener("click", async () => {
  await call("DELETE", "/v1/session/all");
  location.reload();
});

for (const [id, path, done] of [
  ["password-change", "/v1/session/password", "Changed. Every other session has ended."],
  ["pin-choose", "/v1/session/pin", "Chosen."],
]) {
  const form = $(id);
  if (form) {
    sending(form, form.querySelector(".said"), async (sent) => {
      await call("PUT", path, sent);
      return done;
    });
  }
}
