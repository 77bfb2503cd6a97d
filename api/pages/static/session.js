// Signing in and out, on every page.
import { call, Problem } from "./api.js";

for (const id of ["staff-sign-in", "till-sign-in"]) {
  const form = document.getElementById(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector(".error");
    try {
      const session = await call("POST", "/v1/session", Object.fromEntries(new FormData(form)));
      location.assign(["till", "cashier"].includes(session.role) ? "/till" : "/");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      said.textContent = error.message;
      said.hidden = false;
    }
  });
}

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await call("DELETE", "/v1/session");
  location.assign("/sign-in");
});
